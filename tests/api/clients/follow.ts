// What follows a stream of events, for the clients in TypeScript.

/** Returns the texts of the first messages of a stream. */
export async function textsOf(stream: ReadableStream<Uint8Array>, count: number): Promise<string[]> {
  const texts: string[] = [];
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let begun = "";
  while (texts.length < count) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the stream has ended");
    const lines = (begun + decoder.decode(value, { stream: true })).split("\n");
    begun = lines.pop()!;
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      const data = JSON.parse(line.slice("data: ".length));
      // The first event, `begin`, is not a message.
      if (data.text !== undefined) texts.push(data.text);
    }
  }
  await reader.cancel();
  return texts;
}
