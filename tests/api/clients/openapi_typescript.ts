// Sends, pages and follows with the types of openapi-typescript, and openapi-fetch.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "../openapi-typescript/chinwag";
import { textsOf } from "./follow";

const TEXTS = ["Kettle is on.", "On my way!", "Milk?"];

/** Returns the data of an answer that is not a problem. */
async function done<T, E>(call: Promise<{ data?: T; error?: E }>): Promise<T> {
  const { data, error } = await call;
  assert.equal(error, undefined);
  return data!;
}

async function main(baseUrl: string) {
  const client = createClient<paths>({ baseUrl });
  const addUser = (username: string) => client.POST("/users/add", { body: { username } });
  const { id: ann } = await done(addUser("ann of types"));
  const { id: bob } = await done(addUser("bob of types"));
  const users = [ann, bob];
  const { id: tea } = await done(client.POST("/chats/add", { body: { name: "tea of types", users } }));
  const [chat] = await done(client.POST("/chats/get", { body: { user: bob } }));
  assert.deepEqual([chat.id, chat.last_message], [tea, null]);
  const found = await done(client.POST("/users/get", { body: { username: "ann of types" } }));
  assert.equal(Array.isArray(found) ? undefined : found.id, ann);
  const { error } = await addUser("ann of types");
  assert.equal(error?.code, "username_taken");

  const stream = await done(client.GET("/events", { params: { query: { user: bob } }, parseAs: "stream" }));

  for (const text of TEXTS) {
    const params = { header: { "Idempotency-Key": `types:${TEXTS.indexOf(text)}` } };
    const send = () => done(client.POST("/messages/add", { body: { chat: tea, author: ann, text }, params }));
    assert.deepEqual(await send(), await send());
  }

  const read: string[] = [];
  for (let after = 0; ; ) {
    const page = await done(client.POST("/messages/get", { body: { chat: tea, after, limit: 2 } }));
    if (page.length === 0) break;
    read.push(...page.map(({ text }) => text));
    after = page[page.length - 1].seq;
  }
  assert.deepEqual(read, TEXTS);
  assert.deepEqual(await textsOf(stream!, TEXTS.length), TEXTS);
}

void main(process.argv[2]);
