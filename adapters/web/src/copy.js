// Copies a code or a link, and says so where a screen reader hears it.
const SAID_FOR_MS = 2500;

for (const button of document.querySelectorAll("[data-copy]")) {
  if (!navigator.clipboard) break;
  const word = button.textContent;
  button.hidden = false;
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
    } catch {
      return; // the code stands beside the button and can be selected
    }
    button.textContent = button.dataset.copied;
    setTimeout(() => {
      button.textContent = word;
    }, SAID_FOR_MS);
  });
}
