// Notifications of messages that arrive while no tab of the user is visible.

/** Time within which another tab answers that it is visible. */
const ANSWER_MS_MAX = 200;
const ICON = new URL("icon.svg", import.meta.url).href;

export const canNotify = () => "Notification" in window && window.isSecureContext;

/** Asks the user, and returns whether the page can notify. */
export async function permit() {
  if (!canNotify() || (await Notification.requestPermission()) !== "granted") return false;
  try {
    // Chrome on Android throws: there, only a service worker notifies.
    new Notification("Chinwag notifies you of messages here.", { icon: ICON });
    return true;
  } catch {
    return false;
  }
}

export class Notifications {
  #tabs;
  #wanted = new Map();

  constructor(user) {
    this.#tabs = new BroadcastChannel(`chinwag-tabs-${user}`);
    this.#tabs.onmessage = ({ data }) => {
      if (data.hidden && !document.hidden) this.#tabs.postMessage({ seen: data.hidden });
      if (data.seen) this.#wanted.delete(data.seen);
    };
  }

  /** Notifies of a message. Other hidden tabs do the same, and the browser shows one of those with one tag. */
  notify({ chat, seq }, title, body, onClick) {
    const tag = `chinwag-${chat}-${seq}`;
    this.#wanted.set(tag, () => {
      const notification = new Notification(title, { body, tag, icon: ICON });
      notification.onclick = () => {
        window.focus();
        onClick();
        notification.close();
      };
    });
    this.#tabs.postMessage({ hidden: tag });
    setTimeout(() => {
      this.#wanted.get(tag)?.();
      this.#wanted.delete(tag);
    }, ANSWER_MS_MAX);
  }
}
