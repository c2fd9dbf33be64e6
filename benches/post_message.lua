-- wrk's requests: each the next of some hundreds of messages, made once, in chats that take turns.
--
-- wrk ... -s post_message.lua URL -- MEMBERS_FILE TEXTS_FILE [KEYS]
-- The files hold a line `chat author` for each member of a chat, and a text a line. With KEYS, a word that no other
-- run on the same server has, every request goes under an idempotency key of its own.

local requests = {}
local at = 0
local keys, sent = nil, 0

local function lines(path)
  local all = {}
  for line in io.lines(path) do
    all[#all + 1] = line
  end
  return all
end

function init(args)
  local members, texts = lines(args[1]), lines(args[2])
  local headers = { ["Content-Type"] = "application/json" }
  keys = args[3]
  -- One member more or less a round, so that every member comes to say every text.
  for number = 0, #members * #texts - 1 do
    local round = math.floor(number / #members)
    local chat, author = members[number % #members + 1]:match("(%S+) (%S+)")
    local text = texts[(number + round) % #texts + 1]
    local body = string.format('{"chat":"%s","author":"%s","text":"%s"}', chat, author, text)
    requests[number + 1] = wrk.format("POST", "/messages/add", headers, body)
  end
end

function request()
  at = at % #requests + 1
  if not keys then
    return requests[at]
  end
  sent = sent + 1
  -- Behind the request line.
  return (requests[at]:gsub("\r\n", "\r\nIdempotency-Key: " .. keys .. sent .. "\r\n", 1))
end

-- requests, seconds, p50 and p99 in microseconds, answers that were errors, connections that failed
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("result %d %f %d %d %d %d\n",
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
