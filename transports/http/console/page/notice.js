/** The line above the conversation that says what is wrong, and offers what helps. */

export class Notice {
  constructor({ box, text, action, close }) {
    Object.assign(this, { box, text, action, isPassing: false });
    close.addEventListener("click", () => this.hide());
  }

  /** Show `text`, with a button where there is an action. One that is `passing` goes when the conversation goes on. */
  tell(text, action = null, label = "", { passing = false } = {}) {
    this.isPassing = passing;
    this.text.textContent = text;
    this.action.textContent = label;
    this.action.onclick = action;
    this.action.hidden = !action;
    this.box.hidden = false;
  }

  hide() {
    this.box.hidden = true;
    this.text.textContent = "";
  }

  /** The conversation goes on. */
  pass() {
    if (this.isPassing) this.hide();
  }
}
