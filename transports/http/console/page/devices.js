/** Which microphone and which speaker; the choice is remembered in this browser. */

export class Devices {
  /** Set it to hear of a choice made during a call. */
  onMicrophone = () => {};

  constructor({ microphone, speaker, speakerLabel, sound }) {
    Object.assign(this, { microphone, speaker, sound });
    speakerLabel.hidden = !("setSinkId" in sound);  // Safari and Firefox choose it in the system
    microphone.addEventListener("change", () => {
      localStorage.setItem("microphone", microphone.value);
      this.onMicrophone();
    });
    speaker.addEventListener("change", () => {
      localStorage.setItem("speaker", speaker.value);
      this.#useSpeaker();
    });
    navigator.mediaDevices?.addEventListener("devicechange", () => this.#list());
  }

  /** Return the microphone's stream. Throws what `getUserMedia` throws. */
  async open() {
    if (!navigator.mediaDevices) throw Object.assign(new Error("no secure context"), { name: "InsecureContext" });
    const wanted = this.microphone.value || localStorage.getItem("microphone");
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: { ...audio, ...(wanted && { deviceId: wanted }) } });
    await this.#list();  // labels are told only after consent
    return stream;
  }

  async #list() {
    const found = await navigator.mediaDevices.enumerateDevices();
    fill(this.microphone, found.filter(({ kind }) => kind === "audioinput"), "microphone");
    fill(this.speaker, found.filter(({ kind }) => kind === "audiooutput"), "speaker");
    await this.#useSpeaker();
  }

  async #useSpeaker() {
    if (this.sound.setSinkId) await this.sound.setSinkId(this.speaker.value).catch(() => {});
  }
}

function fill(select, devices, name) {
  const named = devices.filter(({ deviceId }) => deviceId && deviceId !== "default");
  select.replaceChildren(new Option("Default", ""), ...named.map(({ deviceId, label }) => new Option(label || deviceId, deviceId)));
  const wanted = localStorage.getItem(name);
  if (named.some(({ deviceId }) => deviceId === wanted)) select.value = wanted;
}
