// Sends the one form of the page on its way; without scripts the page shows a button that does the same.
document.querySelector("form[data-continue]").submit();
