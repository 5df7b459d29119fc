-- file.archive and file.extract: real archives, those of other programs, and those that nobody
-- should open.
local command = require "spec.support.command"
local flow = require "orrery"
local uv = require "luv"
local workplace = require "spec.support.workplace"

local failure, output = workplace.failure, workplace.output
local file = flow.file

local here

before_each(function() here = workplace.new() end)
after_each(function() here:close() end)

local function make_tree()
  here:sh [[mkdir -p tree/deep/empty; cd tree; seq 100000 >numbers; echo é >deep/é; ln -s ../numbers deep/link
    chmod 640 numbers; touch -d @1000000000 numbers deep]]
end

local function extract(name, more)
  local node = { path = here:at(name), to = here:at "out" }
  for key, value in pairs(more or {}) do node[key] = value end
  return file.extract(node)
end

-- ---- archives made by hand ----------------------------------------------------------------------

local TYPES = { file = "0", hard = "1", link = "2", char = "3", fifo = "6", folder = "5" }

-- A header of POSIX ustar, and what belongs to it.
local function entry(e)
  local data = e.data or ""
  local function octal(n, width) return ("%0" .. (width - 1) .. "o\0"):format(n) end
  local function padded(text, width) return text .. ("\0"):rep(width - #text) end
  local head = padded(e.name, 100) .. octal(e.mode or 420, 8) .. octal(0, 8) .. octal(0, 8)
    .. octal(e.size or #data, 12) .. octal(1000000000, 12)
  local tail = TYPES[e.type or "file"] .. padded(e.to or "", 100) .. "ustar\00000" .. ("\0"):rep(64)
    .. octal(1, 8) .. octal(3, 8)
  local sum = 8 * 32
  for byte in (head .. tail):gmatch "." do sum = sum + byte:byte() end
  local header = padded(head .. ("%06o\0 "):format(sum) .. tail, 512)
  return header .. data .. ("\0"):rep(-#data % 512)
end

local function tar(entries)
  local blocks = {}
  for i, e in ipairs(entries) do blocks[i] = entry(e) end
  return here:write("evil.tar", table.concat(blocks) .. ("\0"):rep(1024))
end

describe("file.archive and file.extract", function()
  for _, ending in ipairs { "tar", "tar.gz", "tgz", "tar.xz", "tar.zst", "zip" } do
    it("keep what is in a folder as ." .. ending, function()
      make_tree()
      local made = output(file.archive { from = here:at "tree", to = here:at("a." .. ending) })
      assert.same({ here:at("a." .. ending), 588898, 5 }, { made.path, made.bytes, made.entries })
      assert.equal(#here:read("a." .. ending), made.size)
      assert.same({ path = here:at "out", bytes = 588898, entries = 5, skipped = 0 },
        output(extract("a." .. ending)))
      assert.equal("", here:sh "diff -r tree out")
      local of = "cd %s; stat -c '%%n %%a %%Y' numbers deep; readlink deep/link"
      assert.equal(here:sh(of:format "tree"), here:sh(of:format "out"))
      local again = here:read("a." .. ending)
      output(file.archive { from = here:at "tree", to = here:at("a." .. ending) })
      assert.equal(again, here:read("a." .. ending))
      assert.equal(("a.%s out tree "):format(ending), (here:sh "ls" :gsub("\n", " ")))
    end)
  end

  it("are understood by tar, and understand it", function()
    make_tree()
    output(file.archive { from = here:at "tree", to = here:at "a.tar.gz", prefix = "pre/fix", level = 9 })
    assert.equal("", here:sh "tar xzf a.tar.gz && diff -r tree pre/fix")
    here:sh "tar czf b.tar.gz --format=gnu tree; ln tree/numbers tree/hard; tar cf c.tar tree"
    output(extract("b.tar.gz", { strip = 1 }))
    assert.equal("Only in tree: hard\n", here:sh "diff -r tree out")
    output(extract("c.tar", { overwrite = true }))
    assert.equal("", here:sh "diff -r tree out/tree")
    assert.equal("2\n", here:sh "stat -c %h out/tree/hard")
  end)

  it("take the files that are named, one file, and leave out what is excluded", function()
    make_tree()
    output(file.archive { from = here:at "tree", to = here:at "a.tar", files = { "deep/é", "numbers" } })
    assert.equal("deep/é\nnumbers\n", here:sh "tar tf a.tar --quoting-style=literal")
    output(file.archive { from = here:at "tree/numbers", to = here:at "a.tar" })
    assert.equal("numbers\n", here:sh "tar tf a.tar")
    here:sh "touch tree/.hidden tree/deep/x.o"
    output(file.archive { from = here:at "tree", to = here:at "a.tar",
      exclude = { "deep/e*", "**/*.o", "deep/é" } })
    assert.equal(".hidden\ndeep/\ndeep/link\nnumbers\n", here:sh "tar tf a.tar")
    for _, name in ipairs { "../x", "/etc/passwd", "a/../../b", "" } do
      local e = failure(file.archive { from = here:at "tree", to = here:at "b.tar", files = { name } })
      assert.equal("config_error", e.code)
    end
    assert.equal("config_error", failure(file.archive { from = here:at "tree", to = here:at "b.rar" }).code)
    assert.equal("config_error",
      failure(file.archive { from = here:at "tree", to = here:at "b.tar", prefix = "../up" }).code)
  end)

  it("say what cannot be put into an archive, and leave nothing", function()
    here:sh "mkdir tree; mkfifo tree/fifo; echo x >tree/x; echo old >a.tar"
    local e = failure(file.archive { from = here:at "tree", to = here:at "a.tar" })
    assert.equal("file_error", e.code)
    assert.matches("fifo is a FIFO, a socket or a device", e.message)
    e = failure(file.archive { from = here:at "none", to = here:at "a.tar" })
    assert.equal("ENOENT", e.details.errno)
    e = failure(file.archive { from = here:at "tree", to = here:at "a.tar", files = { "gone" } })
    assert.equal("ENOENT", e.details.errno)
    e = failure(file.archive { from = here:at "tree", to = here:at "a.tar", overwrite = false,
      exclude = { "fifo" } })
    assert.equal("file_exists", e.code)
    assert.equal("old\n", here:read "a.tar")
    assert.equal("a.tar tree tree/fifo tree/x ", here:names())
  end)

  it("leave nothing on a disk that is full", function()
    local disk, reason = here:small_disk "256k"
    if not disk then return pending(reason) end
    here:sh "mkdir tree; head -c 600000 /dev/urandom >tree/x; mkdir full/old; echo x >full/old/x"
    local e = failure(file.archive { from = here:at "tree", to = disk .. "/a.tar.gz" })
    assert.same({ "file_error", "ENOSPC" }, { e.code, e.details.errno })
    output(file.archive { from = here:at "tree", to = here:at "a.tar.gz" })
    e = failure(file.extract { path = here:at "a.tar.gz", to = disk .. "/old", overwrite = true })
    assert.same({ "file_error", "ENOSPC" }, { e.code, e.details.errno })
    assert.equal("old old/x ", here:names "full")
  end)

  it("do not hold up the loop, and end where they are cancelled", function()
    here:sh "mkdir tree; truncate -s 100G tree/holes"
    local function try(node)
      local ticks, timer, began = 0, uv.new_timer(), uv.hrtime()
      timer:start(5, 5, function() ticks = ticks + 1 end)
      local e = failure(node)
      timer:close()
      assert.equal("timeout", e.code)
      assert.is_true(ticks >= 10, ticks .. " ticks")
      assert.is_true(uv.hrtime() - began < 60e9)
    end
    try(file.archive { from = here:at "tree", to = here:at "a.tar.gz", timeout = 0.3 })
    -- 8 GiB of zeros, made of the same packed ones again and again
    here:write("head", entry { name = "big", size = 8 * 1024 ^ 3 - 1 })
    here:sh [[rm -rf tree; gzip <head >big.tgz; head -c 64M /dev/zero | gzip -1 >zeros; for i in $(seq 129); do cat zeros; done >>big.tgz]]
    try(extract("big.tgz", { limit = 1 << 40, timeout = 0.3 }))
    assert.equal("big.tgz head zeros ", here:names())
  end)

  it("need libarchive only when they are used, and say so where it is absent", function()
    if uv.getuid() ~= 0 then return pending "only root can hide a library" end
    here:write("s.lua", [[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.it = flow.file.archive { from = "s.lua", to = "a.tar" }
      print(flow.run(w).error.message)]])
    local said = here:sh(([[lib=$(ldconfig -p | sed -n 's/.*libarchive.so.13 .*=> //p' | head -1)
      unshare -m true 2>/dev/null || echo "no mount"
      lib=$(readlink -f $lib) unshare -m sh -c 'mount --bind /dev/null $lib && %s s.lua || echo "no mount"']])
      :format(uv.fs_realpath(command.path)))
    if said:find "no mount" then return pending "no file system can be mounted here" end
    assert.matches("cannot archive s.lua: archives need libarchive.so.13 (Debian's package libarchive13)",
      said, 1, true)
  end)
end)

describe("file.extract", function()
  local function refused(why, entries)
    tar(entries)
    local e = failure(extract "evil.tar")
    assert.same({ "archive_unsafe", false }, { e.code, e.retryable })
    assert.matches(why, e.message, 1, true)
    assert.equal("evil.tar outside outside/kept ", here:names())
    assert.equal("kept", here:read "outside/kept")
  end

  before_each(function()
    here:sh "mkdir outside"
    here:write("outside/kept", "kept")
  end)

  it("refuses names that leave the folder", function()
    refused("is absolute", { { name = here:at "outside/kept", data = "evil" } })
    refused("leaves the folder", { { name = "../outside/kept", data = "evil" } })
    refused("leaves the folder", { { name = "a/../../outside/kept", data = "evil" } })
    refused("leaves the folder", { { name = "a/..", type = "folder" } })
    refused("leaves the folder", { { name = "..", type = "link", to = "x" } })
  end)

  it("refuses links that lead out, and names through links", function()
    refused("a link that leads out", { { name = "x", type = "link", to = here:at "outside" } })
    refused("a link that leads out", { { name = "x", type = "link", to = "../outside" } })
    refused("a link that leads out", { { name = "d/x", type = "link", to = "../../outside" } })
    refused("a link that leads out",
      { { name = "d", type = "link", to = "." }, { name = "e", type = "link", to = "d/../outside" } })
    local folder, link = { name = "d", type = "folder" }, { name = "l", type = "link", to = "d" }
    refused("leads through a link", { folder, link, { name = "l/x", data = "evil" } })
    refused("leads through a link",
      { { name = "f", data = "x" }, { name = "f/x", data = "evil" } })
    refused("in the place of a link", { folder, link, { name = "l", type = "folder" } })
    refused("replace a folder", { { name = "d/x", data = "x" }, { name = "d", type = "link", to = "." } })
    refused("replace a folder", { { name = "d", type = "folder" }, { name = "d", data = "x" } })
  end)

  it("refuses hard links to anything but files that came before", function()
    refused("a hard link to a name outside", { { name = "x", type = "hard", to = here:at "outside/kept" } })
    refused("a hard link to a name outside", { { name = "x", type = "hard", to = "../outside/kept" } })
    refused("no file of the archive", { { name = "x", type = "hard", to = "missing" } })
    local link, folder = { name = "l", type = "link", to = "x" }, { name = "d", type = "folder" }
    refused("no file of the archive", { link, { name = "y", type = "hard", to = "l" } })
    refused("no file of the archive", { folder, { name = "y", type = "hard", to = "d" } })
  end)

  it("refuses devices and FIFOs", function()
    refused("a device, a FIFO or a socket", { { name = "null", type = "char" } })
    refused("a device, a FIFO or a socket", { { name = "pipe", type = "fifo" } })
  end)

  it("leaves out what is refused where it is told to", function()
    tar { { name = "../outside/kept", data = "evil" }, { name = "good", data = "good" },
      { name = "pipe", type = "fifo" }, { name = "l", type = "link", to = "/etc" } }
    local made = output(extract("evil.tar", { on_unsafe = "skip" }))
    assert.same({ 4, 1, 3 }, { made.bytes, made.entries, made.skipped })
    assert.equal("good ", here:names "out")
    assert.equal("kept", here:read "outside/kept")
  end)

  it("takes links that stay, later entries of a name, and no special bits", function()
    tar { { name = "./", type = "folder" }, { name = "a//b/./x", data = "x", mode = 2541 }, -- 04755
      { name = "a/b/up", type = "link", to = "../../a/b/x" }, { name = "a/b/x", data = "later", mode = 2541 },
      { name = "shut", type = "folder", mode = 320 }, { name = "shut/in", data = "in" },
      { name = "hard", type = "hard", to = "a/b/x" }, { name = "hard", type = "hard", to = "hard" } }
    output(extract "evil.tar")
    assert.equal("a a/b a/b/up a/b/x hard shut shut/in ", here:names "out")
    assert.equal("later", here:read "out/a/b/up")
    assert.equal("755 1000000000\n500\n", here:sh "stat -c '%a %Y' out/hard; stat -c %a out/shut")
  end)

  it("refuses names in a zip that leave the folder", function()
    here:sh "mkdir -p tree/aa; echo evil >tree/aa/kept"
    output(file.archive { from = here:at "tree", to = here:at "a.zip", files = { "aa/kept" } })
    here:write("a.zip", (here:read "a.zip":gsub("aa/kept", "../kept")))
    local e = failure(extract "a.zip")
    assert.equal("archive_unsafe", e.code)
    assert.is_nil(here:read "kept")
  end)

  it("bounds what a bomb makes", function()
    here:sh [[mkdir bomb; truncate -s 2G bomb/holes; tar cSzf sparse.tgz bomb; rm bomb/holes
      head -c 50000000 /dev/zero >bomb/zeros; tar czf zeros.tgz bomb; gzip -c zeros.tgz >twice.tgz; rm -rf bomb]]
    local function too_large(name, more)
      local e = failure(extract(name, more))
      assert.same({ "archive_too_large", false }, { e.code, e.retryable })
    end
    too_large("sparse.tgz")
    too_large("sparse.tgz", { limit = (1 << 31) - 1 })
    too_large("zeros.tgz", { limit = 49999999 })
    assert.equal(50000000, output(extract("zeros.tgz", { limit = 50000000 })).bytes)
    here:sh "rm -rf out"
    output(file.archive { from = here:at "outside", to = here:at "z.zip" })
    too_large("z.zip", { limit = 3 })
    assert.matches("compressed more than once", failure(extract "twice.tgz").message)
    local entries = {}
    for i = 1, 50 do entries[i] = { name = "d" .. i, type = "folder" } end
    tar(entries)
    too_large("evil.tar", { max_entries = 49 })
    assert.is_nil(here:sh "ls":find "out\n")
    assert.equal(50, output(extract("evil.tar", { max_entries = 50 })).entries)
  end)

  it("says what is no archive, or half of one, and leaves nothing", function()
    make_tree()
    output(file.archive { from = here:at "tree", to = here:at "a.tar.gz" })
    output(file.archive { from = here:at "tree", to = here:at "a.zip" })
    output(file.archive { from = here:at "tree", to = here:at "a.tar.xz" })
    local function broken(name, text)
      here:write(name, text)
      local e = failure(extract(name))
      assert.same({ "archive_error", false }, { e.code, e.retryable }, name)
    end
    broken("half.tar.gz", here:read "a.tar.gz":sub(1, 100000))
    broken("half.zip", here:read "a.zip":sub(1, 100000))
    broken("text", ("no archive\n"):rep(1000))
    broken("empty", "")
    for _, name in ipairs { "a.zip", "a.tar.xz" } do
      local text = here:read(name)
      local at = #text // 2
      broken("flipped." .. name, text:sub(1, at - 1) .. string.char(text:byte(at) ~ 16) .. text:sub(at + 1))
    end
    here:sh "mkfifo fifo; rm -rf tree a.* half* flipped* text empty"
    assert.matches("it is no file", failure(extract "fifo").message)
    assert.equal("ENOENT", failure(extract "nothing").details.errno)
    assert.equal("fifo outside outside/kept ", here:names())
  end)

  it("does not merge into a folder that is there", function()
    tar { { name = "x", data = "x" } }
    here:sh "mkdir out"
    output(extract "evil.tar")
    here:write("out/mine", "")
    assert.equal("file_exists", failure(extract "evil.tar").code)
    output(extract("evil.tar", { overwrite = true }))
    assert.equal("x ", here:names "out")
    assert.equal("evil.tar out out/x outside outside/kept ", here:names())
  end)

  it("keeps names that are not text of this locale", function()
    here:sh "mkdir tree; touch tree/é tree/$(printf 'a\\377b')"
    local script = here:write("s.lua", [[local flow = require "orrery"
      flow.now(flow.file.archive { from = "tree", to = "a.tar" })
      flow.now(flow.file.archive { from = "tree", to = "a.zip", files = { "é" } })
      flow.now(flow.file.extract { path = "a.tar", to = "out-tar" })
      flow.now(flow.file.extract { path = "a.zip", to = "out-zip" })
      print(select(2, pcall(flow.now, flow.file.archive { from = "tree", to = "b.zip" })))]])
    local said = here:sh(("LC_ALL=C %s %s"):format(uv.fs_realpath(command.path), script))
    assert.matches("is no UTF%-8, and a zip archive holds no other; make it a tar", said)
    assert.equal("", here:sh "diff -r tree out-tar; ls b.zip 2>/dev/null")
    assert.equal("é ", here:names "out-zip")
  end)
end)

-- A node of a run in a store, whose process is killed as soon as it has something beside its place.
describe("a kill in the middle", function()
  local function killed(config, target)
    here:write("w.lua", ([[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.it = flow.file.%s
      return w]]):format(config))
    local orrery = uv.fs_realpath(command.path)
    here:sh(([[%s run w.lua --store sqlite:s.db >said 2>&1 & pid=$!
      while [ -z "$(ls -d %s.*.tmp 2>/dev/null)" ] && kill -0 $pid 2>/dev/null; do :; done
      kill -9 $pid; wait $pid 2>/dev/null]]):format(orrery, target))
    local before = here:sh(("ls -d %s %s.*.tmp 2>/dev/null"):format(target, target))
    local after = here:sh(([[for id in $(%s runs --store sqlite:s.db --json | grep -o '"id":"[^"]*"' | cut -d'"' -f4)
      do %s resume $id --store sqlite:s.db >said 2>&1; done; %s show --store sqlite:s.db @last --json
      ]]):format(orrery, orrery, orrery))
    assert.matches('"state":"completed"', after, after .. here:read "said")
    return before
  end

  it("of file.archive leaves the old one whole, and nothing else after it is resumed", function()
    here:sh "mkdir tree; for i in $(seq 40); do head -c 4000000 /dev/zero >tree/$i; done; echo old >a.tar.gz"
    local before = killed([[archive { from = "tree", to = "a.tar.gz" }]], "a.tar.gz")
    assert.matches("^a%.tar%.gz\n", before)
    assert.equal("40\n", here:sh "tar tzf a.tar.gz | grep -c '[0-9]$'")
    assert.equal("", here:sh "mkdir x; tar xzf a.tar.gz -C x; diff -r x tree")
    assert.equal("", here:sh "ls -d a.tar.gz.* 2>/dev/null")
  end)

  it("of file.extract leaves no folder, and the whole one after it is resumed", function()
    here:sh "mkdir tree; for i in $(seq 40); do head -c 4000000 /dev/zero >tree/$i; done"
    here:sh "tar czf a.tar.gz -C tree ."
    killed([[extract { path = "a.tar.gz", to = "out" }]], "out")
    assert.equal("", here:sh "diff -r out tree")
    assert.equal("", here:sh "ls -d out.* 2>/dev/null")
  end)

  it("of file.extract leaves the folder that was there as it was until the new one is whole", function()
    here:sh "mkdir tree out; echo mine >out/mine"
    here:sh "for i in $(seq 40); do head -c 4000000 /dev/zero >tree/$i; done"
    here:sh "tar czf a.tar.gz -C tree ."
    local orrery = uv.fs_realpath(command.path)
    here:write("w.lua", [[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.it = flow.file.extract { path = "a.tar.gz", to = "out", overwrite = true }
      return w]])
    local said = here:sh(([[%s run w.lua --store sqlite:s.db >said 2>&1 & pid=$!
      while [ -z "$(ls -d out.*.tmp 2>/dev/null)" ] && kill -0 $pid 2>/dev/null; do :; done
      kill -9 $pid; wait $pid 2>/dev/null; ls out | tr '\n' ' ']]):format(orrery))
    assert.is_true(said == "mine " or #said > 80, said)
    here:sh(([[for id in $(%s runs --store sqlite:s.db --json | grep -o '"id":"[^"]*"' | cut -d'"' -f4)
      do %s resume $id --store sqlite:s.db >said 2>&1; done]]):format(orrery, orrery))
    assert.equal("", here:sh "diff -r out tree; ls -d out.* 2>/dev/null")
  end)
end)
