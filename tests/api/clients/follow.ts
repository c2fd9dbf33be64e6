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
      if (line.startsWith("data: ")) texts.push(JSON.parse(line.slice("data: ".length)).text);
    }
  }
  await reader.cancel();
  return texts;
}
