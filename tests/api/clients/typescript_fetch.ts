// Sends, pages and follows with the client that OpenAPI Generator makes for TypeScript (typescript-fetch).

import assert from "node:assert/strict";
import * as api from "../typescript-fetch";
import { textsOf } from "./follow";

const TEXTS = ["Kettle is on.", "On my way!", "Milk?"];

async function main(basePath: string) {
  const configuration = new api.Configuration({ basePath });
  const users = new api.UsersApi(configuration);
  const chats = new api.ChatsApi(configuration);
  const messages = new api.MessagesApi(configuration);
  const { id: ann } = await users.usersAdd({ addUser: { username: "ann of fetch" } });
  const { id: bob } = await users.usersAdd({ addUser: { username: "bob of fetch" } });
  const { id: tea } = await chats.chatsAdd({ addChat: { name: "tea of fetch", users: [ann, bob] } });
  const [chat] = await chats.chatsGet({ getChats: { user: bob } });
  assert.deepEqual([chat.id, chat.lastMessage], [tea, null]);
  const found = await users.usersGet({ getUser: { username: "ann of fetch" } });
  assert.equal(Array.isArray(found) ? undefined : found.id, ann);
  const refused: unknown = await users.usersAdd({ addUser: { username: "ann of fetch" } }).catch((error) => error);
  assert(refused instanceof api.ResponseError);
  assert.equal(api.ProblemFromJSON(await refused.response.json()).code, api.Code.UsernameTaken);

  // `events` would read up to the stream's end, which does not come. `eventsRaw` leaves the reading to the program.
  const { raw } = await new api.EventsApi(configuration).eventsRaw({ user: bob });

  for (const text of TEXTS) {
    const message = { addMessage: { chat: tea, author: ann, text }, idempotencyKey: `fetch:${TEXTS.indexOf(text)}` };
    assert.deepEqual(await messages.messagesAdd(message), await messages.messagesAdd(message));
  }

  const read: string[] = [];
  for (let after = 0; ; ) {
    const page = await messages.messagesGet({ getMessages: { chat: tea, after, limit: 2 } });
    if (page.length === 0) break;
    read.push(...page.map(({ text }) => text));
    after = page[page.length - 1].seq;
  }
  assert.deepEqual(read, TEXTS);
  assert.deepEqual(await textsOf(raw.body!, TEXTS.length), TEXTS);
}

void main(process.argv[2]);
