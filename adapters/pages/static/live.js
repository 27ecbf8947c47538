// Keeps the newest checkpoint on the log's page current. It asks for the static file `checkpoint` alone (no database; the
// browser revalidates it with its ETag), less often while nothing changes, and not at all while nobody looks.
// The file is a signed note: origin, size, root of SHA-256 (Base64), "sm3 <root>", "time <seconds>", empty line, signatures.
const POLL_MS = 5_000;
const CALM_MS = 30_000; // between two looks at a log in which nothing happens
const LOST_MS = 60_000; // and at one that does not answer
const AGE_MS = 15_000;
const ANNOUNCE_MS = 60_000; // a screen reader is interrupted this often at most
const BEIJING_S = 8 * 3600; // as the server writes times
const SHORT = 8;

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));
const hex = (base64) => [...atob(base64)].map((sign) => sign.charCodeAt(0).toString(16).padStart(2, "0")).join("");
const short = (root) => `${root.slice(0, SHORT)}…${root.slice(-SHORT)}`;

function parse(note) {
  const [origin, size, sha256, sm3, time, empty] = note.split("\n");
  if (empty !== "" || !/^\d{1,15}$/.test(size) || !/^sm3 /.test(sm3) || !/^time \d{1,12}$/.test(time)) return null;
  try {
    return { note, origin, size: Number(size), sha256: hex(sha256), sm3: hex(sm3.slice(4)), time: Number(time.slice(5)) };
  } catch {
    return null;
  }
}

class Live {
  constructor(box) {
    this.box = box;
    this.words = box.dataset;
    this.language = document.documentElement.lang;
    const { origin, size, time } = box.dataset;
    const [sm3, sha256] = ["sm3", "sha256"].map((tree) => this.part(`root-${tree}`).textContent);
    this.shown = { origin, size: Number(size), time: Number(time), sm3, sha256 };
    this.opened = this.shown.size;
    this.wait = POLL_MS;
    this.ahead = 0; // milliseconds by which the server's clock is ahead of this one
    this.paused = false;
    this.asking = false;
    this.announced = 0;
    this.timer = 0;
    this.part("age-row").hidden = false;
    this.part("controls").hidden = false;
    this.part("toggle").addEventListener("click", () => this.toggle());
    document.addEventListener("visibilitychange", () => this.resume());
    setInterval(() => this.age(), AGE_MS);
    this.age();
    this.resume();
  }

  part(name) {
    return this.box.querySelector(`[data-live-${name}]`);
  }

  get resting() {
    return this.paused || document.visibilityState === "hidden";
  }

  toggle() {
    this.paused = !this.paused;
    this.part("toggle").textContent = this.paused ? this.words.resume : this.words.pause;
    this.tell(this.paused ? this.words.paused : this.words.on);
    this.resume();
  }

  // Look at once when somebody begins to look; stop when nobody does.
  resume() {
    clearTimeout(this.timer);
    if (this.resting || this.asking) return;
    this.wait = POLL_MS;
    this.age();
    this.look();
  }

  async look() {
    this.asking = true;
    try {
      const answer = await fetch(this.words.liveUrl, { cache: "no-cache" });
      if (!answer.ok) throw new Error(String(answer.status));
      const date = Date.parse(answer.headers.get("date") ?? "");
      if (!Number.isNaN(date)) this.ahead = date - Date.now();
      this.age();
      this.take(parse(await answer.text()));
      if (!this.paused) this.tell(this.words.on);
    } catch {
      this.wait = Math.min(this.wait * 2, LOST_MS);
      if (!this.paused) this.tell(this.words.lost);
    }
    this.asking = false;
    clearTimeout(this.timer);
    if (!this.resting) this.timer = setTimeout(() => this.look(), this.wait);
  }

  take(next) {
    const now = this.shown;
    if (next === null) throw new Error("note");
    const same = next.size === now.size;
    if (next.origin !== now.origin || next.size < now.size || (same && (next.sm3 !== now.sm3 || next.sha256 !== now.sha256))) {
      this.part("alarm").hidden = false;
      return;
    }
    if (same && next.time <= now.time) {
      this.wait = Math.min(this.wait * 1.5, CALM_MS);
      return;
    }
    this.wait = POLL_MS;
    this.shown = next;
    this.show(same);
  }

  show(same) {
    const { note, size, time, sm3, sha256 } = this.shown;
    const number = (value) => new Intl.NumberFormat(this.language).format(value);
    this.part("size").textContent = number(size);
    this.part("note").textContent = note;
    const at = this.part("time");
    at.textContent = this.moment(time);
    at.dateTime = new Date(time * 1000).toISOString().replace(".000Z", "Z");
    for (const [tree, root] of Object.entries({ sm3, sha256 })) {
      this.part(`root-${tree}`).textContent = root;
      this.part(`short-${tree}`).textContent = short(root);
    }
    this.age();
    if (same) return;
    const newer = this.part("newer");
    newer.firstElementChild.textContent = fill(this.words.newer, { size: number(size), seen: number(this.opened) });
    newer.hidden = false;
    if (Date.now() - this.announced >= ANNOUNCE_MS) {
      this.announced = Date.now();
      this.part("said").textContent = fill(this.words.said, { size: number(size) });
    }
  }

  tell(text) {
    const state = this.part("state");
    if (state.textContent !== text) state.textContent = text;
  }

  moment(seconds) {
    const at = new Date((seconds + BEIJING_S) * 1000);
    const [hour, minute] = [at.getUTCHours(), at.getUTCMinutes()].map((value) => String(value).padStart(2, "0"));
    const [year, month, day] = [at.getUTCFullYear(), at.getUTCMonth() + 1, at.getUTCDate()];
    if (this.language === "zh-CN") return `${year}年${month}月${day}日 ${hour}:${minute}`;
    const name = new Intl.DateTimeFormat("en", { month: "long", timeZone: "UTC" }).format(at);
    return `${day} ${name} ${year}, ${hour}:${minute}`;
  }

  age() {
    const minutes = Math.floor((Date.now() + this.ahead - this.shown.time * 1000) / 60_000);
    const [unit, length] = minutes < 60 ? ["minutes", 1] : minutes < 2880 ? ["hours", 60] : ["days", 1440];
    const text = minutes < 1 ? this.words.ageNow : fill(this.words[`age${unit}`], { count: Math.floor(minutes / length) });
    this.part("age").textContent = text;
  }
}

for (const box of document.querySelectorAll("[data-live-url]")) new Live(box);
