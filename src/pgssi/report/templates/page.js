(function () {
  "use strict";
  var root = document.documentElement;
  var english = document.getElementById("lang-en");
  var french = document.getElementById("lang-fr");
  function apply() { root.lang = english.checked ? "en" : "fr"; }
  if (/[?&]lang=en\b/.test(location.search)) { english.checked = true; }
  english.addEventListener("change", apply);
  french.addEventListener("change", apply);
  apply();
  // A link to something folded away opens what folds it.
  function reveal() {
    var target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (var node = target; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") { node.open = true; }
    }
    if (target) { target.scrollIntoView(); }
  }
  window.addEventListener("hashchange", reveal);
  reveal();
  // On paper nothing is folded.
  var folded = [];
  window.addEventListener("beforeprint", function () {
    folded = Array.prototype.slice.call(document.querySelectorAll("details:not([open])"));
    folded.forEach(function (node) { node.open = true; });
  });
  window.addEventListener("afterprint", function () {
    folded.forEach(function (node) { node.open = false; });
  });
})();
