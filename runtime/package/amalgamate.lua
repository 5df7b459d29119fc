-- Writes all C of the library as one file, for hosts that compile it with their own sources:
-- lua5.4 amalgamate.lua VERSION ROOT... FILE.c... >orrery.c
--
-- The headers come first, each once and after those that it includes, then the C files. What is
-- static in a file, its types and its tags, would meet those of other files: each such name gets
-- the file's number as its suffix. Names after `.` and `->`, and the members of structs, are in a
-- space of their own and stay. The macros of a C file end with it.
local version, roots, files = arg[1], {}, {}
for i = 2, #arg do
  local list = arg[i]:match "%.c$" and files or roots
  list[#list + 1] = arg[i]
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read "a"
end

local function find(name)
  for _, root in ipairs(roots) do
    local text = read(root .. "/" .. name)
    if text then return text end
  end
end

local PLAIN_INCLUDE = '^%s*#%s*include%s+"([^"]+)"'
local out, headers, in_headers, header_tags = {}, {}, {}, {}

-- Each header once: what it includes first. `in_headers` has every word of theirs, `header_tags`
-- the tags of structs by header, which may be declared there and defined in a C file.
local function add_headers(text)
  for line in text:gmatch "[^\n]+" do
    local name = line:match(PLAIN_INCLUDE)
    local header = name and name ~= "orrery.h" and not headers[name] and find(name)
    if header then
      headers[name] = true
      add_headers(header)
      for word in header:gmatch "[%a_][%w_]*" do in_headers[word] = true end
      header_tags[name] = {}
      for tag in header:gmatch "struct%s+([%a_][%w_]*)" do header_tags[name][tag] = true end
      out[#out + 1] = ("/* ---- %s ---- */\n"):format(name)
      -- of ours only the public header stays an include
      out[#out + 1] = (("\n" .. header):gsub('\n%s*#%s*include%s+"([^"\n]+)"', function(inner)
        return inner ~= "orrery.h" and "\n" or nil
      end)):sub(2)
    end
  end
end

-- The parts of a C text, in order: {kind, text}; kinds are "word", "mark" (one character that is
-- code) and "rest" (blanks, comments, texts, numbers). A line of the preprocessor is {"line"}, with
-- its parts in `parts`.
local split

local function preprocessor_line(text, at)
  local stop = at
  repeat
    stop = text:find("\n", stop, true) or #text
    local continued = text:sub(stop - 1, stop - 1) == "\\"
    stop = stop + 1
  until not continued or stop > #text
  -- a comment that begins on the line and ends on another belongs to it
  return text:sub(at, stop - 1)
end

local SCANS = {
  { "rest", "^%s+" }, { "rest", "^//[^\n]*" }, { "rest", "^/%*.-%*/" },
  { "word", "^[%a_][%w_]*" }, { "rest", "^%.?%d[%w_.]*" },
}

local function quoted(text, at)
  local quote, i = text:sub(at, at), at + 1
  while text:sub(i, i) ~= quote do i = i + (text:sub(i, i) == "\\" and 2 or 1) end
  return text:sub(at, i)
end

function split(text)
  local parts, at, fresh = {}, 1, true
  local function add(kind, piece)
    parts[#parts + 1] = { kind, piece }
    at = at + #piece
  end
  while at <= #text do
    local char = text:sub(at, at)
    if char == "#" and fresh then
      local line = preprocessor_line(text, at)
      parts[#parts + 1] = { "line", line, parts = split(line:sub(2)) }
      at = at + #line
      fresh = true
    elseif char == '"' or char == "'" then
      add("rest", quoted(text, at))
      fresh = false
    else
      local found
      for _, scan in ipairs(SCANS) do
        found = text:match(scan[2], at)
        if found then
          add(scan[1], found)
          if found:find "\n" then fresh = true elseif found:find "%S" then fresh = false end
          break
        end
      end
      if not found then
        add("mark", char)
        fresh = false
      end
    end
  end
  return parts
end

-- The code of a text without blanks and comments: words and marks.
local function code_of(parts)
  local code = {}
  for _, part in ipairs(parts) do
    if part[1] == "word" or part[1] == "mark" then code[#code + 1] = part end
  end
  return code
end

-- Walks over a declaration at the top of a file, to its `;` or the `}` of its body: adds the names
-- that it gives to the file alone.
local ATTRIBUTES = { __attribute__ = true, _Alignas = true, _Static_assert = true }
local OPENS = { ["("] = true, ["{"] = true, ["["] = true }
local CLOSES = { [")"] = true, ["}"] = true, ["]"] = true }

local function tags(code, first, last, names)
  for i = first, last - 2 do
    local word = code[i][2]
    if (word == "struct" or word == "union" or word == "enum") and code[i + 1][1] == "word"
      and code[i + 2][2] == "{" then
      names[code[i + 1][2]] = true
    end
    if word == "enum" then -- its constants
      local brace = code[i + 1][2] == "{" and i + 1 or code[i + 2] and code[i + 2][2] == "{" and i + 2
      local j = brace
      while j and code[j] and code[j][2] ~= "}" do
        local before = code[j][2]
        if (before == "{" or before == ",") and code[j + 1][1] == "word"
          and (code[j + 2][2] == "," or code[j + 2][2] == "=" or code[j + 2][2] == "}") then
          names[code[j + 1][2]] = true
        end
        j = j + 1
      end
    end
  end
end

local function declared(code, first, last, names)
  local is_typedef, is_static, depth = code[first][2] == "typedef", false, 0
  local newest
  for i = first, last do
    local part = code[i]
    if part[2] == "static" and depth == 0 then is_static = true end
    if depth == 0 and part[1] == "word" and not ATTRIBUTES[part[2]] then newest = part[2] end
    if is_typedef and depth == 1 and part[2] == "*" and code[i - 1][2] == "("
      and code[i + 1][1] == "word" and code[i + 2][2] == ")" then
      names[code[i + 1][2]] = true
      return
    end
    if is_static and depth == 0 and newest and (part[2] == "(" and not ATTRIBUTES[code[i - 1][2]]
      or part[2] == "=" or part[2] == ";" or part[2] == "[" or part[2] == ",") then
      if part[2] == "(" and code[i + 1][2] == "*" then -- a pointer to a function
        names[code[code[i + 2][2] == "const" and i + 3 or i + 2][2]] = true
        return
      end
      if code[i - 1][1] == "word" and code[i - 1][2] == newest then names[newest] = true end
      if part[2] ~= "," then return end
    end
    if is_typedef and depth == 0 and part[2] == ";" then names[newest] = true end
    if OPENS[part[2]] then depth = depth + 1 elseif CLOSES[part[2]] then depth = depth - 1 end
  end
end

local function names_of(parts)
  local code, names, first, depth = code_of(parts), {}, 1, 0
  for i, part in ipairs(code) do
    if OPENS[part[2]] then depth = depth + 1 elseif CLOSES[part[2]] then depth = depth - 1 end
    local body = depth == 0 and part[2] == "}" and code[i + 1]
      and not (code[i + 1][2] == ";" or code[i + 1][2] == "," or code[i + 1][2] == "="
        or code[i + 1][2] == "[" or code[i + 1][2] == "*")
    -- after a struct's body its variable may follow: only a function's body ends a declaration
    if body then
      local opener, level = i, 0
      repeat
        if code[opener][2] == "}" then level = level + 1 end
        if code[opener][2] == "{" then level = level - 1 end
        opener = opener - 1
      until level == 0
      body = code[opener][2] == ")"
    end
    if depth == 0 and (part[2] == ";" or body) then
      tags(code, first, i, names)
      declared(code, first, i, names)
      first = i + 1
    end
  end
  return names
end

-- Whether a word in a struct's body names a type, and no member.
local function names_type(code_before, code_after)
  return code_before ~= "." and (code_after[1] == "word" or code_after[2] == "*" or code_before == "[")
end

local function renamed(parts, names, known, suffix, to)
  local code = {}
  for i, part in ipairs(parts) do if part[1] == "word" or part[1] == "mark" then code[#code + 1] = i end end
  local place, inside, structs = {}, {}, 0
  for k, i in ipairs(code) do place[i] = k end
  for i, part in ipairs(parts) do
    local text = part[2]
    local k = place[i]
    if part[1] == "line" then
      if not text:match(PLAIN_INCLUDE) then
        to[#to + 1] = "#"
        renamed(part.parts, names, known, suffix, to)
      else
        to[#to + 1] = "\n"
      end
    elseif part[1] == "word" and names[text] then
      local before = k > 1 and parts[code[k - 1]][2] or ""
      local earlier = k > 2 and parts[code[k - 2]][2] or ""
      local after = parts[code[k + 1] or 0] or { "mark", "" }
      local member = before == "struct" and known[text] or before == "."
        or (before == ">" and earlier == "-" and code[k - 2] == code[k - 1] - 1)
      if inside[#inside] and not names_type(before, after) then member = true end
      to[#to + 1] = member and text or text .. suffix
    else
      if text == "{" and part[1] == "mark" then
        local one = k > 1 and parts[code[k - 1]][2] or ""
        local two = k > 2 and parts[code[k - 2]][2] or ""
        inside[#inside + 1] = one == "struct" or one == "union" or two == "struct" or two == "union"
        structs = structs + 1
      elseif text == "}" and part[1] == "mark" then
        inside[#inside] = nil
      end
      to[#to + 1] = text
    end
  end
end

-- The tags of the headers that a text includes, and those include.
local function tags_of(text, seen, known)
  for line in text:gmatch "[^\n]+" do
    local name = line:match(PLAIN_INCLUDE)
    if name and header_tags[name] and not seen[name] then
      seen[name] = true
      for tag in pairs(header_tags[name]) do known[tag] = true end
      tags_of(find(name), seen, known)
    end
  end
  return known
end

local function macros_of(text)
  local list = {}
  for name in ("\n" .. text):gmatch "\n[ \t]*#[ \t]*define[ \t]+([%a_][%w_]*)" do list[#list + 1] = name end
  return list
end

local texts = {}
for _, path in ipairs(files) do
  texts[path] = read(path) or error(path .. " cannot be read")
  add_headers(texts[path])
end

out[#out + 1] = "\n"
for number, path in ipairs(files) do
  local text = texts[path]
  out[#out + 1] = ("/* ---- %s ---- */\n"):format(path:gsub("^.*runtime/", ""))
  local lines = {}
  local parts = split(text)
  local names, known = names_of(parts), tags_of(text, {}, {})
  for name in pairs(names) do
    -- what is orr_ is one for all files
    if name:find "^orr_" then names[name] = nil end
    if known[name] and text:find("struct%s+" .. name .. "%s*{")
      and not text:find("}%s*" .. name .. "%s*;") then
      names[name] = nil
    end
  end
  local undo = {}
  for _, name in ipairs(macros_of(text)) do
    if in_headers[name] then names[name] = true end
    undo[#undo + 1] = ("#undef %s%s\n"):format(name, names[name] and "_" .. number or "")
  end
  renamed(parts, names, known, "_" .. number, lines)
  out[#out + 1] = table.concat(lines)
  out[#out + 1] = table.concat(undo)
end

io.write("/* Orrery ", version, ", all C of the library in one file; made by `make amalgamation`.\n",
  " *\n * cc -c orrery.c $(pkg-config --cflags lua5.4 lua5.4-luv libuv libcurl libpq)\n */\n",
  "#ifndef _GNU_SOURCE\n#define _GNU_SOURCE\n#endif\n")
for _, text in ipairs(out) do io.write(text) end
