// Long work: asks the page's JSON address how far it is and moves the bar. Without this script the page reloads itself.
// Answer: {"done": 12, "total": 200, "state": "running" | "done" | "failed", "bad": 3, "seconds_left": 40, "next": "/…"}
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8000;

const fill = (text, values) => text.replace(/\{(\w+)\}/g, (all, name) => (name in values ? String(values[name]) : all));

function describe(box, report) {
  const parts = [fill(box.dataset.counts, { done: report.done, total: report.total })];
  if (report.bad) parts.push(fill(box.dataset.bad, { bad: report.bad }));
  if (report.state === "running" && Number.isFinite(report.seconds_left)) {
    parts.push(
      report.seconds_left < 90
        ? fill(box.dataset.leftSeconds, { seconds: Math.max(1, Math.round(report.seconds_left)) })
        : fill(box.dataset.left, { minutes: Math.round(report.seconds_left / 60) }),
    );
  }
  return parts.join(" · ");
}

async function follow(box) {
  const bar = box.querySelector("progress");
  const text = box.querySelector("[data-progress-text]");
  let wait = FIRST_WAIT_MS;
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    let report;
    try {
      const answer = await fetch(box.dataset.progressUrl, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (answer.status === 401 || answer.status === 403) return location.reload(); // signed out meanwhile
      if (!answer.ok) throw new Error(String(answer.status));
      report = await answer.json();
      wait = FIRST_WAIT_MS;
    } catch {
      // The work goes on without us; say that the line is lost, and ask again, more and more rarely.
      text.textContent = box.dataset.lost;
      wait = Math.min(wait * 2, LONGEST_WAIT_MS);
      continue;
    }
    bar.max = report.total || 1;
    bar.value = report.done;
    text.textContent = describe(box, report);
    if (report.state !== "running") {
      const next = report.next ? new URL(report.next, location.href) : null;
      if (next && next.origin === location.origin) location.assign(next);
      else location.reload();
      return undefined;
    }
  }
}

for (const box of document.querySelectorAll("[data-progress-url]")) follow(box);
