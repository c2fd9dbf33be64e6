// PocketBase opens SQLite with synchronous=NORMAL, where a commit is not on disk when it is answered. All writes go
// over one connection, which it keeps open; this one is told to sync every commit.
onBootstrap((e) => {
  e.next()
  const database = e.app.nonconcurrentDB()
  database.newQuery("PRAGMA synchronous=FULL").execute()
  const told = new DynamicModel({ synchronous: -1 })
  database.newQuery("PRAGMA synchronous").one(told)
  if (told.synchronous !== 2) {
    throw new Error("synchronous is " + told.synchronous + ", not FULL")
  }
})
