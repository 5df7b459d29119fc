-- docs/errors.md has every error code and every kind of mistake that the code reports, and no
-- other; and the scanners that find them in the code would find a new one.
local found = require "spec.errors.found"
local page = require "spec.errors.page"
local texts = { codes = require "spec.errors.codes", mistakes = require "spec.errors.mistakes" }

local codes, mistakes = found.here()

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function names(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

describe("the index of errors", function()
  it("says of every code and mistake what it means and what to do", function()
    assert.same({}, page.lacking(codes, mistakes, texts))
  end)

  it("is as the code is now", function()
    assert(read(page.PATH) == page.text(codes, mistakes, texts),
      page.PATH .. " is not what the code and spec/errors make now: run `make errors`, read the difference")
  end)

  it("has a remedy and whether it is retried for every code", function()
    for name, text in pairs(texts.codes) do
      assert(#text == 3 and text[1]:find "%.$" and text[2]:find "%.$",
        name .. ": expected a meaning, a remedy and whether it is retried")
    end
    for name, text in pairs(texts.mistakes) do
      assert(#text == 2 and text[1]:find "%.$" and text[2]:find "%.$",
        name .. ": expected a meaning and a remedy")
    end
  end)

  it("finds those that everybody knows", function()
    for _, code in ipairs { "handler_error", "config_error", "timeout", "heartbeat", "run_timeout",
      "circuit_open", "crash_loop", "nondeterminism", "definition_changed", "store_error", "damaged_journal",
      "internal_error", "http_status", "http_tls", "exec_cwd", "run_owned", "run_ended", "script_error",
      "stale_token", "each_failed",
    } do
      assert(codes[code], code)
    end
    for _, kind in ipairs { "cycle", "need", "unknown_key", "bad_expression", "bad_name", "type" } do
      assert(mistakes[kind], kind)
    end
  end)

  it("says what to do about a new one and about one that is gone", function()
    local new = { brand_new = { rooms = {}, texts = {}, places = { "runtime/run/new.c:7" } } }
    local said = page.differences(new, { long_gone = { "", "", "" } }, "new.lua", "error code")
    assert.same({
      'runtime/run/new.c:7: the error code "brand_new" has no text; say in new.lua what it means and'
        .. " what to do, then run `make errors`",
      'new.lua: the error code "long_gone" is no longer in the code; remove its text, then run `make errors`',
    }, said)
  end)
end)

describe("the scanner for C", function()
  local HEADER = [[
    typedef struct orr_error { const char *code; const char *message; } orr_error;
    void orr_push_error(lua_State *L, const orr_script *s, const char *code, const char *message);
    void (*broken)(orr_script *s, orr_fiber *f, const char *code, const char *message);
  ]]
  local function in_c(text)
    local header = { path = "runtime/core/core.h", text = HEADER }
    local files = { header, { path = "runtime/run/new.c", text = text } }
    return names((found.of(files, {})))
  end

  it("finds the argument for a code", function()
    assert.same({ "brand_new" }, in_c [[ orr_push_error(L, s, "brand_new", "a message, with (a bracket"); ]])
    assert.same({ "brand_new", "older" },
      in_c [[ orr_push_error(L, f(a, "not, this"), a ? "brand_new" : "older", m); ]])
    assert.same({ "brand_new" }, in_c [[ f->client->broken(s, f, "brand_new", "text"); ]])
  end)

  it("finds structs, variables, rows and what is pushed", function()
    assert.same({ "brand_new" }, in_c [[ orr_error e = {"brand_new", text, true, -1, 0}; ]])
    assert.same({ "brand_new", "other" },
      in_c [[ return (orr_error){r == A ? "brand_new" : "other", text, false}; ]])
    assert.same({ "brand_new" }, in_c [[ result.error = (orr_error){.code = "brand_new", .message = "x"}; ]])
    assert.same({ "brand_new" }, in_c [[ const char *code = "brand_new"; ]])
    assert.same({ "brand_new" }, in_c "#define FAILURES(X) \\\n  X(NEW, \"brand_new\", true)\n")
    assert.same({ "brand_new" }, in_c [[ lua_pushliteral(L, "brand_new"); luaL_tolstring(L, 1, NULL); ]])
    assert.same({ "brand_new" }, in_c [[ static const struct { const char *code, *message; } e[] = {
      [0] = {"brand_new", "what it is in words"} }; ]])
  end)

  it("leaves comments, comparisons and other words alone", function()
    assert.same({}, in_c [[
      /* orr_push_error(L, s, "in_a_comment", "x") */ // orr_push_error(L, s, "in_another", "x")
      if (strcmp(error.code, "compared") == 0) lua_setfield(L, -2, "code");
      static const char *const states[] = {"pending", "running"};
      orr_push_error(L, s, code, "a message");
      lua_pushliteral(L, "warn"); lua_pushfstring(L, "a log of level warn"); ]])
  end)
end)

describe("the scanner for Lua", function()
  local function in_lua(text, path)
    return found.of({}, { { path = path or "lua/orrery/definition/new.lua", text = text } })
  end

  it("finds codes, also through a function", function()
    assert.same({ "brand_new" },
      names((in_lua [[ flow.error { code = "brand_new", message = "what happened" } ]])))
    assert.same({ "brand_new", "other" }, names((in_lua [[
      local function raise(code, message) error(setmetatable({ code = code, message = message }, mt), 0) end
      raise("brand_new", ("run %s is gone"):format(id))
      raise(late and "other", "…") ]])))
    assert.same({ "brand_new" }, names((in_lua [[ made.code = made.code or "brand_new" ]])))
  end)

  it("finds mistakes and their messages through methods, callbacks and returned sentences", function()
    local _, kinds = in_lua [[
      function Builder:bad(field, kind, message)
        self.problems[1] = { kind = kind, field = field,
          message = ('node "%s": %s'):format(self.name, message) }
      end
      local function expected(b, key, what, value)
        b:bad(key, "brand_new", ("%s: expected %s, got %s"):format(key, what, errors.show(value)))
      end
      READ = { size = function(b, value) expected(b, "size", "a whole number", value) end }
      local function check(t, say)
        if not t.name then say("name", "absent", "name is missing; " .. "give it one") end
      end
    ]]
    assert.same({ "absent", "brand_new" }, names(kinds))
    assert.is_true(kinds.brand_new.texts["size: expected a whole number, got …"])
    assert.is_true(kinds.absent.texts["name is missing; give it one"])
    _, kinds = in_lua('local function name_problem(n) if n == "" then return "a name is not empty" end end',
      "lua/orrery/definition/workflow_problems.lua")
    assert.is_true(kinds.bad_name.texts["a name is not empty"])
  end)

  it("leaves comments, descriptions of fields and other tables alone", function()
    local found_codes, kinds = in_lua [[
      -- { code = "in_a_comment", message = "x y" }
      local FIELDS = { code = "string", message = "string" }
      return { kind = "running", count = 3 } ]]
    assert.same({}, names(found_codes))
    assert.same({}, names(kinds))
  end)
end)
