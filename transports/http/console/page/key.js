/** The key of the service, where it needs one: asked for, and kept for this tab alone. */

const NAME = "console-key";

export class Key {
  constructor({ dialog, form, input, problem, cancel }) {
    Object.assign(this, { dialog, form, input, problem });
    this.value = sessionStorage.getItem(NAME) ?? "";
    cancel.addEventListener("click", () => dialog.close());
  }

  get isAsked() {
    return this.dialog.open;
  }

  /** Ask for it, and go on by `then`. `problem` is what was wrong with the one that is there. */
  ask(problem, then) {
    this.problem.textContent = this.value ? problem : "";
    this.form.onsubmit = () => {
      this.value = this.input.value.trim();
      sessionStorage.setItem(NAME, this.value);
      this.input.value = "";
      void then();
    };
    this.dialog.showModal();
  }
}
