// The browser moves on by itself once every frame has loaded. A platform that does not answer would hold it up for a
// minute or more, so that after a few seconds the page does not wait any longer.
const WAIT_MS = 5000;
const link = document.querySelector("a[data-move-on]");
setTimeout(() => location.replace(link.href), WAIT_MS);
