// The browser of the tests: Debian's Chromium or, with BROWSER=firefox, Debian's Firefox.

import { chromium, firefox } from "playwright-core";

export const isFirefox = process.env.BROWSER === "firefox";

export async function launch() {
  if (!isFirefox) {
    return chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
  }
  const browser = await firefox.launch({
    // An unpatched Firefox speaks WebDriver BiDi, which Playwright uses for channels of such names only.
    channel: "moz-firefox",
    executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr",
    args: ["--remote-allow-system-access"],
  });
  await complete(browser._connection.toImpl(browser));
  return browser;
}

/**
 * Adds what Playwright lacks in Firefox: colour schemes (Firefox does not know their command, without which there is no
 * context at all), other media features, touch, and input as by a user. `browser` is Playwright's own object behind the
 * one of its API, so this depends on the version of Playwright.
 */
async function complete(browser) {
  const session = browser._browserSession;
  const { contexts: [{ context: window }] } = await session.send("browsingContext.getTree", { "moz:scope": "chrome" });
  const sessions = Object.getPrototypeOf(session);
  const { send } = sessions;
  /** Calls a function in a page, or in Firefox's own window. */
  const call = (context, action, ...texts) =>
    send.call(session, "script.callFunction", {
      target: { context },
      functionDeclaration: String(action),
      arguments: texts.map((value) => ({ type: "string", value })),
      awaitPromise: false,
    });
  const emulate = ({ _page: page, _session: { sessionId } }) => {
    const values = { ...page.emulatedMedia(), hasTouch: page.browserContext._options.hasTouch };
    return call(window, emulateInFirefox, sessionId, JSON.stringify(values));
  };
  sessions.send = async function (method, params) {
    if (method === "emulation.setMediaFeaturesOverride") {
      // What a context wants is done for each of its pages, when they are created.
      if (params.contexts) await emulate(browser._bidiPages.get(params.contexts[0]));
      return {};
    }
    const result = await send.call(this, method, params);
    if (method === "browsingContext.create") {
      const page = browser._bidiPages.get(result.context);
      await emulate(page);
      page.rawTouchscreen.tap = (progress, x, y) => tap(page._session, x, y);
      // Playwright would set an input's value, which React for one does not notice.
      const insert = (text) => document.execCommand("insertText", false, text);
      page.rawKeyboard.sendText = (progress, text) => call(result.context, insert, text);
      // For a screenshot Playwright would add a style, which a Content-Security-Policy forbids with a complaint.
      page.shouldToggleStyleSheetToSyncAnimations = () => false;
      // A connection that fails is no error of a script.
      const { addPageError } = page._page;
      page._page.addPageError = (error, place) =>
        /^(Firefox can.t establish a|The) connection to /.test(error.message) ||
        addPageError.call(page._page, error, place);
    }
    return result;
  };
}

/** Runs in Firefox's own window. */
function emulateInFirefox(id, values) {
  const { NavigableManager } = ChromeUtils.importESModule("chrome://remote/content/shared/NavigableManager.sys.mjs");
  const { colorScheme, reducedMotion, forcedColors, media, hasTouch } = JSON.parse(values);
  const page = NavigableManager.getBrowsingContextById(id).top;
  page.prefersColorSchemeOverride = /^(dark|light)$/.test(colorScheme) ? colorScheme : "none";
  page.prefersReducedMotionOverride = reducedMotion;
  page.forcedColorsOverride = forcedColors;
  page.mediumOverride = /^(print|screen)$/.test(media) ? media : "";
  if (!hasTouch) return;
  // The view of phones in the developer tools, in which the pointer is coarse.
  page.inRDMPane = true;
  page.touchEventsOverride = "enabled";
  page.setRDMPaneMaxTouchPoints(1);
}

function tap(session, x, y) {
  const actions = [
    { type: "pointerMove", x: Math.round(x), y: Math.round(y) },
    { type: "pointerDown", button: 0 },
    { type: "pointerUp", button: 0 },
  ];
  const finger = { type: "pointer", id: "finger", parameters: { pointerType: "touch" }, actions };
  return session.send("input.performActions", { context: session.sessionId, actions: [finger] });
}
