// Waiting for a condition.

/** Waits until `check` holds. After `within_ms` it throws an error that says what did not happen. */
export async function until(what, check, within_ms = 20_000) {
  const end = Date.now() + within_ms;
  while (!check()) {
    if (Date.now() > end) throw new Error(`not within ${within_ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
