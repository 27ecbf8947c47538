// Computes an entry's proofs again in the browser (RFC 9162, 2.1.3.2), in the tree of SHA-256 and in the one of SM3: nothing
// of the page is believed but the roots, which the checkpoint signs.
import { sm3 } from "./sm3.js";

const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
const fromHex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const toHex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

async function hash(digest, prefix, ...parts) {
  const size = parts.reduce((sum, part) => sum + part.length, 1);
  const bytes = new Uint8Array(size);
  bytes[0] = prefix;
  let at = 1;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return digest(bytes);
}

async function root(digest, body, index, size, path) {
  let node = index;
  let last = size - 1;
  let value = await hash(digest, 0, body);
  for (const neighbour of path) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      value = await hash(digest, 1, neighbour, value);
      while (node % 2 === 0 && node !== 0) {
        node = Math.floor(node / 2);
        last = Math.floor(last / 2);
      }
    } else {
      value = await hash(digest, 1, value, neighbour);
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
    const { body, index, size, good, bad } = box.dataset;
    const bytes = Uint8Array.from(atob(body), (sign) => sign.charCodeAt(0));
    const agrees = async (digest, path, expected) => {
      const neighbours = path ? path.split(" ").map(fromHex) : [];
      const found = await root(digest, bytes, Number(index), Number(size), neighbours);
      return found !== null && toHex(found) === expected;
    };
    const both =
      (await agrees(sm3, box.dataset.pathSm3, box.dataset.rootSm3)) &&
      (await agrees(sha256, box.dataset.pathSha256, box.dataset.rootSha256));
    result.textContent = both ? good : bad;
  });
}

// Browsers offer their hash functions to pages of secure origins only.
if (globalThis.crypto?.subtle) {
  for (const box of document.querySelectorAll("[data-proof]")) prepare(box);
}
