// SM3 (GB/T 32905-2016) of bytes, for pages: browsers have no such function. Section numbers are the standard's.
const START = [0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e]; // 4.1

const turn = (word, by) => (word << (by & 31)) | (word >>> ((32 - by) & 31));
const p0 = (word) => word ^ turn(word, 9) ^ turn(word, 17); // 4.4
const p1 = (word) => word ^ turn(word, 15) ^ turn(word, 23);

// 5.2: one bit, zeros, and the length in bits as 64 bits.
function padded(message) {
  const blocks = Math.ceil((message.length + 9) / 64);
  const bytes = new Uint8Array(blocks * 64);
  bytes.set(message);
  bytes[message.length] = 0x80;
  const view = new DataView(bytes.buffer);
  view.setUint32(bytes.length - 8, Math.floor(message.length / 0x20000000));
  view.setUint32(bytes.length - 4, (message.length << 3) >>> 0);
  return view;
}

// 5.3.2
function expanded(view, at) {
  const w = new Int32Array(68);
  for (let j = 0; j < 16; j += 1) w[j] = view.getUint32(at + 4 * j);
  for (let j = 16; j < 68; j += 1) {
    w[j] = p1(w[j - 16] ^ w[j - 9] ^ turn(w[j - 3], 15)) ^ turn(w[j - 13], 7) ^ w[j - 6];
  }
  return w;
}

// 5.3.3
function compress(state, view, at) {
  const w = expanded(view, at);
  let [a, b, c, d, e, f, g, h] = state;
  for (let j = 0; j < 64; j += 1) {
    const early = j < 16;
    const a12 = turn(a, 12);
    const ss1 = turn((a12 + e + turn(early ? 0x79cc4519 : 0x7a879d8a, j)) | 0, 7);
    const ff = early ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
    const gg = early ? e ^ f ^ g : (e & f) | (~e & g);
    const tt1 = (ff + d + (ss1 ^ a12) + (w[j] ^ w[j + 4])) | 0;
    const tt2 = (gg + h + ss1 + w[j]) | 0;
    [d, c, b, a] = [c, turn(b, 9), a, tt1];
    [h, g, f, e] = [g, turn(f, 19), e, p0(tt2)];
  }
  for (const [number, word] of [a, b, c, d, e, f, g, h].entries()) state[number] ^= word;
}

export function sm3(message) {
  const view = padded(message);
  const state = Int32Array.from(START);
  for (let at = 0; at < view.byteLength; at += 64) compress(state, view, at);
  const digest = new DataView(new ArrayBuffer(32));
  for (const [number, word] of state.entries()) digest.setInt32(4 * number, word);
  return new Uint8Array(digest.buffer);
}
