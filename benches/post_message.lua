-- wrk's requests: each the next of some hundreds of messages, made once, in chats that take turns.
--
-- wrk ... -s post_message.lua URL -- MEMBERS_FILE TEXTS_FILE [HEADER WORD]
-- The files hold a line `chat author` for each member of a chat, and a text a line. With HEADER, every request has that
-- header, with a value of its own: the word, which no other run on the same server has, and a number.

local requests = {}
local at = 0
local header, sent = nil, 0

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
  header = args[3] and args[3] .. ": " .. args[4]
  -- One member more or less a round, so that every member comes to say every text.
  for number = 0, #members * #texts - 1 do
    local round = math.floor(number / #members)
    local chat, author = members[number % #members + 1]:match("(%S+) (%S+)")
    local text = texts[(number + round) % #texts + 1]
    local body = string.format('{"chat":"%s","author":"%s","text":"%s"}', chat, author, text)
    local formatted = wrk.format("POST", "/messages/add", headers, body)
    local line_end = formatted:find("\r\n", 1, true) + 1
    requests[number + 1] = { formatted, formatted:sub(1, line_end), "\r\n" .. formatted:sub(line_end + 1) }
  end
end

function request()
  at = at % #requests + 1
  local whole, line, rest = unpack(requests[at])
  if not header then
    return whole
  end
  sent = sent + 1
  return line .. header .. sent .. rest
end

-- requests, seconds, p50 and p99 in microseconds, answers that were errors, connections that failed
function done(summary, latency, _)
  local errors = summary.errors
  io.write(string.format("result %d %f %d %d %d %d\n",
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
