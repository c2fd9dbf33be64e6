// PocketBase opens SQLite with synchronous=NORMAL, where an answered commit may not be on disk. All writes use one
// connection, which stays open; this hook sets it to sync every commit.
onBootstrap((e) => {
  e.next()
  const database = e.app.nonconcurrentDB()
  database.newQuery("PRAGMA synchronous=FULL").execute()
  const setting = new DynamicModel({ synchronous: -1 })
  database.newQuery("PRAGMA synchronous").one(setting)
  if (setting.synchronous !== 2) {
    throw new Error("synchronous is " + setting.synchronous + ", not FULL")
  }
})
