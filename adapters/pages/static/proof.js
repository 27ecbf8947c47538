// Computes an entry's proof again in the browser (RFC 9162, 2.1.3.2, over the SHA-256 tree): nothing of the page is believed
// but the root, which the checkpoint signs.
const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const toHex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function hash(prefix, ...parts) {
  const size = parts.reduce((sum, part) => sum + part.length, 1);
  const bytes = new Uint8Array(size);
  bytes[0] = prefix;
  let at = 1;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

async function root(body, index, size, path) {
  let node = index;
  let last = size - 1;
  let value = await hash(0, body);
  for (const neighbour of path) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      value = await hash(1, neighbour, value);
      while (node % 2 === 0 && node !== 0) {
        node = Math.floor(node / 2);
        last = Math.floor(last / 2);
      }
    } else {
      value = await hash(1, value, neighbour);
    }
    node = Math.floor(node / 2);
    last = Math.floor(last / 2);
  }
  return last === 0 ? value : null;
}

function prepare(box) {
  const result = box.querySelector("[data-proof-result]");
  box.hidden = false;
  box.querySelector("[data-proof-check]").addEventListener("click", async () => {
    const { body, index, size, path, root: expected, good, bad } = box.dataset;
    const bytes = Uint8Array.from(atob(body), (sign) => sign.charCodeAt(0));
    const neighbours = path ? path.split(" ").map(fromHex) : [];
    const found = await root(bytes, Number(index), Number(size), neighbours);
    result.textContent = found && toHex(found) === expected ? good : bad;
  });
}

// Browsers offer their hash functions to pages of secure origins only.
if (globalThis.crypto?.subtle) {
  for (const box of document.querySelectorAll("[data-proof]")) prepare(box);
}
