import { readFileSync } from "node:fs";
import { importPKCS8, SignJWT } from "jose"; // npm install jose

const { CHINWAG_URL, CHINWAG_KEY, CHINWAG_PRIVATE_KEY } = process.env;
const privateKey = await importPKCS8(readFileSync(CHINWAG_PRIVATE_KEY!, "utf8"), "EdDSA");

/** Returns the user of an account, who is created at the first call, and a token for an hour. */
async function tokenOf(account: string, username: string) {
  const headers = { Authorization: `Bearer ${CHINWAG_KEY}`, "Content-Type": "application/json" };
  const answer = await fetch(`${CHINWAG_URL}/users/add`, {
    method: "POST",
    headers: { ...headers, "Idempotency-Key": `account-${account}` },
    body: JSON.stringify({ username }),
  });
  if (!answer.ok) throw new Error(await answer.text());
  const { id } = (await answer.json()) as { id: string };
  const claims = new SignJWT({ scope: "read write chats" }).setSubject(id).setAudience("chinwag");
  const header = { alg: "EdDSA", kid: "2026-11" };
  const token = await claims.setProtectedHeader(header).setIssuedAt().setExpirationTime("1h").sign(privateKey);
  return { user: id, token };
}

const [account, username] = process.argv.slice(2);
console.log(JSON.stringify(await tokenOf(account!, username!)));
