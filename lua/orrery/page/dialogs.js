// dialogs.js: asking before something is done, and saying what came of it.
import { el, fill, lines } from "./dom.js";

export function problem_view(problem) {
  return el("div", { class: "problem", role: "alert" }, lines(problem.message), problem.code && ` [${problem.code}]`,
    problem.problems?.length > 0 && el("ul", {}, problem.problems.map((one) =>
      el("li", {}, lines([one.where ?? one.field ?? one.node, one.message].filter(Boolean).join(": "))))));
}

// A dialog with a form. `act` gets the form and does what is asked; where it raises, the dialog stays and says why.
// Resolves to what `act` gave, or to nothing where the dialog was left.
export function ask_for(title, children, word, act, danger = false) {
  return new Promise((resolve) => {
    let result;
    const said = el("div", {});
    const send = el("button", { type: "submit", class: danger ? "danger" : "primary" }, word);
    const form = el("form", { onsubmit: async (event) => {
      event.preventDefault();
      send.disabled = true;
      try {
        result = (await act(form)) ?? true;
        dialog.close();
      } catch (problem) {
        fill(said, problem_view(problem));
      } finally {
        send.disabled = false;
      }
    } }, el("h2", { id: "dialog-title" }, lines(title)), children, said,
      el("div", { class: "actions" }, send, el("button", { type: "button", onclick: () => dialog.close() }, "Leave")));
    const dialog = el("dialog", { "aria-labelledby": "dialog-title", onclose: () => {
      dialog.remove();
      resolve(result);
    } }, form);
    document.body.append(dialog);
    dialog.showModal();
  });
}

// A button that does something at once and says below it where that failed.
export function act_button(word, act, kind) {
  const button = el("button", { type: "button", class: kind, onclick: async () => {
    button.disabled = true;
    button.parentElement.querySelector(":scope > .problem")?.remove();
    try {
      await act();
    } catch (problem) {
      button.parentElement.append(problem_view(problem));
    } finally {
      button.disabled = false;
    }
  } }, word);
  return button;
}
