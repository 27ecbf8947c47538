// A file may be dropped on its field, or anywhere on the page where there is one field only.
const units = ["B", "KB", "MB", "GB"];

function size(bytes) {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function prepare(box, everywhere) {
  const input = box.querySelector("input[type=file]");
  const name = box.querySelector("[data-drop-name]");
  const here = box.querySelector("[data-drop-here]");
  const ground = everywhere ? document.documentElement : box;
  let depth = 0;
  if (here) here.hidden = false;

  const carriesFile = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
  const show = () => {
    if (name) name.textContent = [...input.files].map((file) => `${file.name} (${size(file.size)})`).join(", ");
  };
  const chosen = () => {
    show();
    if ("dropSubmit" in box.dataset && input.files.length > 0) input.form.requestSubmit();
  };

  ground.addEventListener("dragenter", (event) => {
    if (!carriesFile(event)) return;
    depth += 1;
    box.classList.add("over");
  });
  ground.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) box.classList.remove("over");
  });
  ground.addEventListener("dragover", (event) => {
    if (carriesFile(event)) event.preventDefault();
  });
  ground.addEventListener("drop", (event) => {
    if (!carriesFile(event)) return;
    event.preventDefault();
    depth = 0;
    box.classList.remove("over");
    const dropped = new DataTransfer();
    for (const file of [...event.dataTransfer.files].slice(0, input.multiple ? undefined : 1)) dropped.items.add(file);
    input.files = dropped.files;
    chosen();
  });
  input.addEventListener("change", chosen);
  // A page shown again from the browser's memory still holds its file.
  addEventListener("pageshow", show);
}

const boxes = document.querySelectorAll("[data-drop]");
for (const box of boxes) prepare(box, boxes.length === 1);
