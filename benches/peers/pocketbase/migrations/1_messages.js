// Messages that anybody may make, with nothing to look up: less than what the others are asked for.
migrate((app) => {
  const text = (name) => ({ type: "text", name, required: true })
  app.save(new Collection({
    type: "base",
    name: "messages",
    createRule: "",
    fields: [text("chat"), text("author"), text("text")],
  }))
  // No log of requests beside.
  const settings = app.settings()
  settings.logs.maxDays = 0
  app.save(settings)
})
