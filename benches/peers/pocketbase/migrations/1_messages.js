// Messages that any client may create, without a check of membership: less work than the other servers do.
migrate((app) => {
  const text = (name) => ({ type: "text", name, required: true })
  app.save(new Collection({
    type: "base",
    name: "messages",
    createRule: "",
    fields: [text("chat"), text("author"), text("text")],
  }))
  // Requests are not logged.
  const settings = app.settings()
  settings.logs.maxDays = 0
  app.save(settings)
})
