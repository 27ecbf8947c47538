// Reads a QR code with the camera into a field and sends the field's form. Nothing leaves the page before that.
import decodeQR from "qr/decode.js";

const LOOK_EVERY_MS = 120;
const PICTURE_MAX_PX = 800;

function prepare(box) {
  const field = document.getElementById(box.dataset.scan);
  const [start, stop, video, text] = ["start", "stop", "picture", "text"].map((part) =>
    box.querySelector(`[data-scan-${part}]`),
  );
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  let stream = null;

  const end = () => {
    for (const track of stream ? stream.getTracks() : []) track.stop();
    stream = null;
    video.hidden = stop.hidden = true;
    start.hidden = false;
    text.textContent = "";
  };
  const look = () => {
    if (!stream) return;
    if (video.videoWidth > 0) {
      const scale = Math.min(1, PICTURE_MAX_PX / Math.max(video.videoWidth, video.videoHeight));
      canvas.width = Math.round(video.videoWidth * scale);
      canvas.height = Math.round(video.videoHeight * scale);
      pen.drawImage(video, 0, 0, canvas.width, canvas.height);
      try {
        const found = decodeQR(pen.getImageData(0, 0, canvas.width, canvas.height));
        end();
        field.value = found;
        field.form.requestSubmit();
        return;
      } catch {
        // no code in this picture; look at the next one
      }
    }
    setTimeout(look, LOOK_EVERY_MS);
  };

  box.hidden = false;
  start.addEventListener("click", async () => {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      text.textContent = box.dataset.refused;
      return;
    }
    video.srcObject = stream;
    video.hidden = stop.hidden = false;
    start.hidden = true;
    text.textContent = box.dataset.searching;
    await video.play();
    look();
  });
  stop.addEventListener("click", end);
  addEventListener("pagehide", end);
}

if (navigator.mediaDevices && navigator.mediaDevices.getUserMedia) {
  for (const box of document.querySelectorAll("[data-scan]")) prepare(box);
}
