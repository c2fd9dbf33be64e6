// What the user can do, by the names under which the views call it.

import { signIn, signOut, needsToken } from "../session.js";
import * as chats from "./chats.js";
import * as dialog from "./dialog.js";
import * as messages from "./messages.js";
import * as people from "./people.js";
import * as settings from "./settings.js";

export const actions = {
  ...chats,
  ...dialog,
  ...messages,
  ...people,
  ...settings,
  async signIn(event) {
    event.preventDefault();
    await signIn(new FormData(event.target).get(needsToken ? "token" : "username").trim());
  },
  signOut,
};
