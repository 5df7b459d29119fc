--- `orrery serve [FOLDER|FILE…]`: the engine as a service.
local core = require "orrery.core"
local listen = require "orrery.serve.listen"
local out = require "orrery.cli.shared.out"

local serve = {}

local USAGE, FAILED = 2, 1

local function fail(code, message)
  out.err("orrery serve: ", message, "\n")
  return code
end

local function say(text) out.err("orrery serve: ", (text:gsub("\n", "\n  ")), "\n") end

local function addresses_of(args)
  local uv = require "luv"
  local list = listen.activated { get = os.getenv, pid = uv.os_getpid(),
    unset = function(name) uv.os_unsetenv(name) end }
  for _, text in ipairs(args.listen) do
    local address, message = listen.read(text)
    if not address then return nil, message end
    list[#list + 1] = address
  end
  if #list == 0 then list[1] = listen.read(listen.DEFAULT) end
  return list
end

local function text_of(path)
  local file, message = io.open(path, "rb")
  if not file then return nil, "cannot read " .. tostring(message) end
  local text = file:read "a"
  file:close()
  return text
end

local function tls_of(words)
  if not words then return nil end
  local cert, message = text_of(words[1])
  local key
  if cert then key, message = text_of(words[2]) end
  if not key then return nil, message end
  return { cert = cert, key = key }
end

-- Taken out of the environment, so that no child speaks for this service.
local function manager()
  local path = os.getenv "NOTIFY_SOCKET"
  if path then require("luv").os_unsetenv "NOTIFY_SOCKET" end
  return path
end

local function paths_of(args)
  local paths = #args.path > 0 and args.path or { "." }
  for _, path in ipairs(paths) do
    if not require("luv").fs_stat(path) then return nil, ("there is no folder or file %s"):format(path) end
  end
  return paths
end

local function options_of(args)
  local paths, no_path = paths_of(args)
  if not paths then return nil, no_path end
  local addresses, no_address = addresses_of(args)
  if not addresses then return nil, no_address end
  local tls, no_tls = tls_of(args.tls)
  if no_tls then return nil, no_tls end
  local grace, no_grace = require("orrery.duration").parse(args.grace or "30s")
  if not grace then return nil, "--grace: " .. no_grace end
  return { paths = paths, listen = addresses, tls = tls, grace = grace, read_only = args.read_only,
    hosts = args.host,
    user_header = args.user_header, user_scope = args.user_scope, notify = manager(), say = say }
end

-- The first SIGTERM or Ctrl-C stops in good order, the second does not wait for runs, the third is
-- the system's.
local function catch(host)
  local signals, asked = require "orrery.cli.shared.interrupts", false
  return signals.catch(function(name)
    if name == "sighup" then return host:post "reload" end
    if asked then
      if host.hurry then
        signals.kill_children()
        os.exit(FAILED)
      end
      host.hurry = true
    end
    asked = true
    host:post "stop"
  end)
end

local function run(options)
  local host = require("orrery.serve").new(options)
  local release = catch(host)
  local started, message, usage = host:start()
  if not started then
    release()
    options.runtime:close()
    return fail(usage and USAGE or FAILED, message)
  end
  if not options.read_only then out.err("log in once: ", host:login_link(), "\n") end
  host:run()
  say "stopping: no run begins any more"
  host:drain()
  release()
  return 0
end

function serve.main(args)
  local options, message = options_of(args)
  if not options then return fail(USAGE, message) end
  local url = require("orrery.store.open").url(args)
  if url == "memory:" then return fail(USAGE, "a server keeps its runs: name a file, --store sqlite:PATH") end
  if args.trust then require("orrery.store.trust").give(url) end
  local opened, rt = pcall(require "orrery.runtime.of_store", url, args.durability, args)
  if not opened then return fail(USAGE, require("orrery.cli.shared.many").sentence(rt)) end
  options.runtime = rt
  local refused = listen.refusal(options.listen, options.tls ~= nil
    or require("orrery.serve.tokens").any(rt:store()))
  if refused then
    rt:close()
    return fail(USAGE, refused)
  end
  local code
  core.gather { function() code = run(options) end } -- waits need a fiber
  return code
end

return serve
