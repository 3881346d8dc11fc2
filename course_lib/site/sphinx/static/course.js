// What scrolls in itself can be reached with the keyboard, and says what it is.
(function () {
  // a page that is opened from the disk may not read others: the search lists, and quotes nothing
  if (location.protocol === "file:" && typeof DOCUMENTATION_OPTIONS === "object")
    DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
  const KINDS = { PRE: "Code or output", TABLE: "Table" };
  function reach() {
    const wide = "pre, .table-wrapper, .course-figure, mjx-container[display], .text_html";
    for (const box of document.querySelectorAll(wide)) {
      if (box.scrollWidth > box.clientWidth && !box.hasAttribute("tabindex")) {
        box.setAttribute("tabindex", "0");
        if (box.tagName === "MJX-CONTAINER") continue;
        box.setAttribute("role", "region");
        const table = box.classList.contains("table-wrapper");
        box.setAttribute("aria-label", KINDS[table ? "TABLE" : box.tagName] || "Figure");
      }
    }
  }
  // two regions of one page need two names
  function number() {
    const seen = {};
    for (const box of document.querySelectorAll("[role=region][aria-label]")) {
      const name = box.getAttribute("aria-label").replace(/ \d+$/, "");
      seen[name] = (seen[name] || 0) + 1;
      box.setAttribute("aria-label", name + " " + seen[name]);
    }
  }
  // landmarks of one kind are told apart by names; the page of the search has no heading
  function name() {
    const names = { ".sidebar-drawer": "The site", ".toc-drawer": "This page" };
    for (const place in names) {
      const box = document.querySelector(place);
      if (box) box.setAttribute("aria-label", names[place]);
    }
    const article = document.querySelector("#furo-main-content");
    if (article && !document.querySelector("h1")) {
      const head = document.createElement("h1");
      head.textContent = document.title.split(" - ")[0];
      article.prepend(head);
    }
  }
  function all() { reach(); number(); }
  window.addEventListener("load", function () {
    name();
    all();
    if (window.MathJax && MathJax.startup) MathJax.startup.promise.then(all);
  });
  window.addEventListener("resize", all);
})();
