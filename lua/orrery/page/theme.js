// theme.js: a button for dark or light, where one does not want what the system says.
import { el } from "./dom.js";

const NEXT_THEME = { "": "dark", dark: "light", light: "" };
const THEME_WORDS = { "": "Theme: system", dark: "Theme: dark", light: "Theme: light" };

function kept_theme() {
  try {
    return localStorage.getItem("orrery-theme") ?? "";
  } catch {
    return ""; // a file in a browser that keeps nothing for files
  }
}

export function theme_button() {
  let theme = kept_theme();
  const button = el("button", { type: "button", class: "theme", onclick: () => choose(NEXT_THEME[theme]) });
  const choose = (next) => {
    theme = next in NEXT_THEME ? next : "";
    document.documentElement.style.colorScheme = theme || "light dark";
    button.textContent = THEME_WORDS[theme];
    try {
      localStorage.setItem("orrery-theme", theme);
    } catch {
      // it holds until the page is closed
    }
  };
  choose(theme);
  return button;
}
