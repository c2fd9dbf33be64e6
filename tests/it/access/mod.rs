//! Who may call, shown on the real server: the whole table, the order of refusals, known attacks, and no secret
//! anywhere that it does not belong.
