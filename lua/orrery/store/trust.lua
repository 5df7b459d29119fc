--- Whether the code in a store may run. A store brings the source of its workflows, so whoever can
--- write it runs code as whoever resumes from it: a store of another user has to be trusted first,
--- as Git asks for a repository.
local core = require "orrery.core"
local open = require "orrery.store.open"

local trust = {}

local trusted = {} -- by path
local remedy = "pass trust = true to flow.runtime or flow.resume"

--- Says that the code in a store may run, whoever owns it, as long as this process lives.
---@param url string
function trust.give(url)
  local path = open.path(url)
  if path then trusted[path] = true end
end

--- What a command advises to type.
---@param words string
function trust.advise(words) remedy = ("`%s` does so"):format(words) end

-- The user who asked root to do it is no stranger to it.
local function is_mine(uid)
  local me = require("luv").getuid()
  return uid == me or me == 0 and tonumber(os.getenv "SUDO_UID") == uid
end

--- Raises `untrusted_store` where the store's file, or its log, belongs to another user.
---@param url string
---@param stat? fun(path: string): {uid: integer}|nil how a file is looked at
function trust.check(url, stat)
  local path = open.path(url)
  if not path or trusted[path] then return end
  stat = stat or require("luv").fs_stat
  for _, name in ipairs { path, path .. "-wal" } do
    local found = stat(name)
    if found and not is_mine(found.uid) then
      error(setmetatable({ code = "untrusted_store", retryable = false,
        message = ("the store '%s' belongs to the user with the id %d, and the code in it would run as you; "
          .. "where you trust them, say so: %s"):format(path, found.uid, remedy) }, core.error_mt), 0)
    end
  end
end

return trust
