-- file.copy, move, remove, mkdir, stat, hash and find, with real files and what goes wrong with
-- them.
local command = require "spec.support.command"
local flow = require "orrery"
local patience = require "spec.support.patience"
local uv = require "luv"
local workplace = require "spec.support.workplace"

local failure, output = workplace.failure, workplace.output
local file = flow.file

local here

before_each(function() here = workplace.new() end)
after_each(function() here:close() end)

-- A folder on another file system than `here`, or nil.
local function elsewhere()
  local own, other = uv.fs_stat(here.root), uv.fs_stat "/dev/shm"
  if not other or other.dev == own.dev then return nil end
  return workplace.new "/dev/shm"
end

-- A folder with all that one may hold.
local function make_tree(name)
  here:sh(([[mkdir -p %s/deep/er; cd %s; echo one >a; echo two >deep/b; echo three >deep/er/.c; ln -s ../a deep/link
    ln -s nowhere broken; chmod 640 a; chmod 750 deep; touch -d @1000000000 a deep]]):format(name, name))
end

local TREE = "a broken deep deep/b deep/er deep/er/.c deep/link "

-- Fails to copy or move `from` to a disk that is full, and says what is left there.
local function on_full_disk(kind, from)
  local disk, reason = here:small_disk "256k"
  if not disk then return nil, reason end
  local e = failure(file[kind] { from = from, to = disk .. "/copy" })
  return e, here:names "full"
end

describe("file.copy", function()
  it("copies a file with its mode and time", function()
    here:write("from", ("x"):rep(100000))
    here:sh "chmod 640 from; touch -d @1000000000 from"
    assert.same({ path = here:at "to", bytes = 100000, entries = 1 },
      output(file.copy { from = here:at "from", to = here:at "to" }))
    assert.equal(here:read "from", here:read "to")
    assert.equal("640 1000000000\n", here:sh "stat -c '%a %Y' to")
    assert.equal("from to ", here:names())
  end)

  it("copies what the system calls empty and is not", function()
    output(file.copy { from = "/proc/self/status", to = here:at "to" })
    assert.matches("^Name:", here:read "to")
  end)

  it("replaces a file, and what a link leads to, but neither where it may not", function()
    here:write("from", "new")
    here:write("to", "old")
    here:sh "ln -s to link"
    local e = failure(file.copy { from = here:at "from", to = here:at "to", overwrite = false })
    assert.equal("file_exists", e.code)
    assert.matches("overwrite = true", e.message)
    assert.equal("old", here:read "to")
    output(file.copy { from = here:at "from", to = here:at "link" })
    assert.equal("new", here:read "to")
    assert.equal("to\n", here:sh "readlink link")
    assert.equal("from link to ", here:names())
  end)

  it("copies a folder with all that is in it, and merges it into none", function()
    make_tree "tree"
    assert.same({ path = here:at "copy", bytes = 14, entries = 7 },
      output(file.copy { from = here:at "tree/", to = here:at "copy" }))
    assert.equal(TREE, here:names "copy")
    local of = "cd %s; stat -c '%%n %%a %%Y' a deep; cat deep/link; readlink broken"
    assert.equal(here:sh(of:format "tree"), here:sh(of:format "copy"))
    here:sh "touch copy/mine"
    assert.equal("file_exists", failure(file.copy { from = here:at "tree", to = here:at "copy" }).code)
    assert.equal("a broken deep deep/b deep/er deep/er/.c deep/link mine ", here:names "copy")
    output(file.copy { from = here:at "tree", to = here:at "copy", overwrite = true })
    assert.equal(TREE, here:names "copy")
    assert.equal("copy tree ", (here:sh "ls" :gsub("\n", " ")))
  end)

  it("makes missing folders where it is asked to", function()
    here:write("from", "x")
    assert.equal("ENOENT", failure(file.copy { from = here:at "from", to = here:at "a/b/to" }).details.errno)
    output(file.copy { from = here:at "from", to = here:at "a/b/to", mkdirs = true })
    assert.equal("x", here:read "a/b/to")
  end)

  it("says what it cannot copy", function()
    here:sh "mkfifo fifo; mkdir folder; echo x >from; mkdir tree; mkfifo tree/fifo"
    local function message(from, to)
      return failure(file.copy { from = here:at(from), to = here:at(to) }).message
    end
    assert.matches("cannot copy .*nothing: no such file or directory", message("nothing", "to"))
    assert.matches("cannot copy .*fifo: it is a FIFO, and no file", message("fifo", "to"))
    assert.matches("cannot copy .*tree/fifo: it is a FIFO, and no file", message("tree", "to"))
    assert.matches("folder: it is a folder; name the file in it", message("from", "folder"))
    assert.matches("cannot copy to .*fifo: it is a FIFO", message("from", "fifo"))
    assert.equal("fifo folder from tree tree/fifo ", here:names())
  end)

  it("leaves nothing on a disk that is full", function()
    local e, left = on_full_disk("copy", here:write("from", ("x"):rep(600000)))
    if not e then return pending(left) end
    assert.same({ "file_error", "ENOSPC", "" }, { e.code, e.details.errno, left })
    here:sh "umount full; mkdir tree; cp from tree/1; cp from tree/2"
    e, left = on_full_disk("copy", here:at "tree")
    assert.same({ "ENOSPC", "" }, { e.details.errno, left })
  end)

  it("leaves nothing where it is cancelled", function()
    here:sh "mkdir tree; for i in $(seq 60); do head -c 1000000 /dev/zero >tree/$i; done"
    patience.with(0.02, function(seconds)
      local run = workplace.run(file.copy { from = here:at "tree", to = here:at "copy", timeout = seconds })
      here:sh "rm -rf copy"
      assert.equal("tree ", (here:sh "ls" :gsub("\n", " ")))
      return run.state == "completed" or run.error.code == "timeout"
    end)
  end)

  it("leaves the old one whole where the process is killed, and does its work when it is resumed",
    function()
      here:write("w.lua", [[local flow = require "orrery"
        local w = flow.workflow { name = "w" }
        w.it = flow.file.copy { from = "from", to = "to" }
        return w]])
      here:write("to", "old")
      here:sh "head -c 200000000 /dev/zero >from"
      local orrery = uv.fs_realpath(command.path)
      local said = here:sh(([[%s run w.lua --store sqlite:s.db >out 2>&1 & pid=$!
        while [ -z "$(ls to.*.tmp 2>/dev/null)" ] && kill -0 $pid 2>/dev/null; do :; done
        kill -9 $pid; wait $pid 2>/dev/null; stat -c %%s to
        for id in $(%s runs --store sqlite:s.db --json | grep -o '"id":"[^"]*"' | cut -d'"' -f4); do
          %s resume $id --store sqlite:s.db >/dev/null 2>&1; done; stat -c %%s to]]):format(orrery, orrery, orrery))
      local before, after = said:match "(%d+)\n(%d+)\n$"
      assert.is_true(before == "3" or before == "200000000", said)
      assert.equal("200000000", after, said)
    end)
end)

describe("file.move", function()
  it("renames files, links and folders", function()
    make_tree "tree"
    here:sh "ln -s tree link"
    assert.same({ path = here:at "other" }, output(file.move { from = here:at "link", to = here:at "other" }))
    output(file.move { from = here:at "tree", to = here:at "new/tree", mkdirs = true })
    assert.equal("tree\n", here:sh "readlink other")
    assert.equal(TREE, here:names "new/tree")
    assert.equal("new other ", (here:sh "ls" :gsub("\n", " ")))
  end)

  it("replaces a file, nothing with overwrite = false, and a folder only where it is told to", function()
    here:sh "echo new >from; echo old >to; mkdir full.d; echo x >full.d/x; mkdir empty.d from.d"
    assert.equal("file_exists",
      failure(file.move { from = here:at "from", to = here:at "to", overwrite = false }).code)
    assert.equal("old\n", here:read "to")
    output(file.move { from = here:at "from", to = here:at "to" })
    assert.equal("new\n", here:read "to")
    assert.equal("file_exists", failure(file.move { from = here:at "from.d", to = here:at "full.d" }).code)
    output(file.move { from = here:at "from.d", to = here:at "full.d", overwrite = true })
    output(file.move { from = here:at "full.d", to = here:at "empty.d" })
    assert.equal("empty.d to ", here:names())
  end)

  it("goes to another file system as well", function()
    local other = elsewhere()
    if not other then return pending "there is no second file system here" end
    local _ <close> = setmetatable({}, { __close = function() other:close() end })
    make_tree "tree"
    here:sh "cp -a tree again; ln -s tree link"
    output(file.move { from = here:at "tree", to = other:at "tree" })
    output(file.move { from = here:at "again/a", to = other:at "a", overwrite = false })
    output(file.move { from = here:at "link", to = other:at "link" })
    assert.equal(TREE, other:names "tree")
    assert.equal("640 1000000000\n", other:sh "stat -c '%a %Y' a")
    assert.equal("tree\n", other:sh "readlink link")
    assert.equal("again again/broken again/deep again/deep/b again/deep/er again/deep/er/.c again/deep/link ",
      here:names())
    assert.equal("file_exists",
      failure(file.move { from = here:at "again/deep", to = other:at "tree" }).code)
  end)

  it("keeps the source where the disk is full", function()
    local e, left = on_full_disk("move", here:write("from", ("x"):rep(600000)))
    if not e then return pending(left) end
    assert.same({ "ENOSPC", "", 600000 }, { e.details.errno, left, #here:read "from" })
  end)

  it("that was cut off before its record is not done twice", function()
    here:write("from", "x")
    -- Attempt 1 moves it and is then lost, as at the end of a process: another attempt finds it
    -- moved.
    local w = flow.workflow { name = "w" }
    w.it = { retry = { max = 1, strategy = "fixed", delay = 0 }, run = function(ctx)
      file.move { from = here:at "from", to = here:at "to" }
      if ctx.attempt == 1 then error "lost" end
    end }
    local run = flow.run(w, { journal = true })
    assert.equal("completed", run.state, run.error and run.error.message)
    assert.equal("to ", here:names())
    assert.equal("ENOENT", failure(file.move { from = here:at "from", to = here:at "to" }).details.errno)
  end)
end)

describe("file.remove", function()
  it("removes files, links and empty folders, and what is not there is removed", function()
    here:sh "mkdir folder; echo x >folder/x; ln -s folder link; mkdir empty"
    assert.same({ path = here:at "link", removed = true }, output(file.remove { here:at "link" }))
    output(file.remove { here:at "empty" })
    assert.same({ path = here:at "link", removed = false }, output(file.remove { here:at "link" }))
    assert.equal("ENOENT", failure(file.remove { here:at "link", missing = "fail" }).details.errno)
    assert.equal("ENOTEMPTY", failure(file.remove { here:at "folder" }).details.errno)
    assert.equal("folder folder/x ", here:names())
  end)

  it("removes a folder with all that is in it, and follows no link", function()
    here:sh [[mkdir kept tree; echo x >kept/x; cd tree; ln -s ../kept link; mkfifo fifo; mkdir shut; echo y >shut/y
      chmod 000 shut; d=.; for i in $(seq 200); do d=$d/deeper; mkdir $d; done; echo z >$d/z; for i in $(seq 500); do : >$i; done]]
    assert.same({ path = here:at "tree", removed = true },
      output(file.remove { path = here:at "tree", recursive = true }))
    assert.equal("kept kept/x ", here:names())
  end)

  it("removes no folder that a template that gave nothing names", function()
    for _, path in ipairs { "", ".", "..", "/", "x/..", "x/./" } do
      assert.equal("config_error", failure(file.remove { path = path, recursive = true }).code, path)
    end
  end)

  it("removes nothing that it may not", function()
    if uv.getuid() ~= 0 then return pending "only root can be another user" end
    here:sh "chmod 755 .; mkdir shut; echo x >shut/x"
    here:write("w.lua", [[local flow = require "orrery"
      local w = flow.workflow { name = "w" }
      w.it = flow.file.remove { path = "shut", recursive = true }
      return w]])
    local said = here:sh("setpriv --reuid 65534 --regid 65534 --clear-groups " .. uv.fs_realpath(command.path)
      .. " run w.lua")
    assert.matches("cannot remove shut: permission denied", said)
    assert.equal("x\n", here:read "shut/x")
  end)
end)

describe("file.mkdir", function()
  it("makes a folder and those before it", function()
    assert.same({ path = here:at "a/b/c", created = true }, output(file.mkdir { here:at "a/b/c" }))
    assert.is_false(output(file.mkdir { here:at "a/b/c/" }).created)
    assert.equal("ENOENT", failure(file.mkdir { here:at "x/y", parents = false }).details.errno)
    here:write("file", "")
    assert.equal("EEXIST", failure(file.mkdir { here:at "file" }).details.errno)
    assert.equal("ENOTDIR", failure(file.mkdir { here:at "file/x" }).details.errno)
  end)
end)

describe("file.stat", function()
  it("tells of files, folders, links and FIFOs", function()
    here:sh [[echo hello >file; chmod 640 file; touch -d @1000000000.5 file; ln -s file link
      ln -s no broken; mkfifo fifo]]
    local of_file = output(file.stat { here:at "file" })
    assert.same({ path = here:at "file", exists = true, type = "file", size = 6, modified = 1000000000.5,
      mode = "0640", uid = uv.getuid(), gid = uv.getgid() }, of_file)
    assert.equal("file", output(file.stat { here:at "link" }).type)
    local of_link = output(file.stat { here:at "link", follow = false })
    assert.same({ "link", "file" }, { of_link.type, of_link.target })
    assert.equal("fifo", output(file.stat { here:at "fifo" }).type)
    assert.equal("directory", output(file.stat { here.root }).type)
    assert.same({ path = here:at "broken", exists = false },
      output(file.stat { here:at "broken", missing = "ok" }))
    assert.equal("ENOENT", failure(file.stat { here:at "broken" }).details.errno)
    assert.is_false(output(file.stat { here:at "file/x", missing = "ok" }).exists)
  end)
end)

describe("file.hash", function()
  it("gives what the tools of the system give", function()
    here:sh "seq 300000 >file; : >empty"
    for _, algorithm in ipairs { "sha256", "sha512", "sha1", "md5" } do
      for _, name in ipairs { "file", "empty" } do
        local made = output(file.hash { here:at(name), algorithm = algorithm })
        assert.equal(here:sh(("%ssum %s"):format(algorithm, name)):match "^%x+", made.hash)
        assert.equal(#here:read(name), made.size)
      end
    end
  end)

  it("compares", function()
    here:write("file", "hello\n")
    local sum = here:sh "sha256sum file":match "^%x+"
    output(file.hash { path = here:at "file", expect = sum:upper() })
    local e = failure(file.hash { path = here:at "file", expect = "00" })
    assert.same({ "hash_mismatch", false, sum }, { e.code, e.retryable, e.details.hash })
  end)

  it("reads no FIFO, no folder and nothing that is not there", function()
    here:sh "mkfifo fifo"
    assert.matches("it is a FIFO, and no file", failure(file.hash { here:at "fifo" }).message)
    assert.matches("it is a folder, and no file", failure(file.hash { here.root }).message)
    assert.equal("ENOENT", failure(file.hash { here:at "nothing" }).details.errno)
  end)

  it("does not hold up the loop, and can be cancelled", function()
    here:sh "truncate -s 200G large"
    local began, ticks = uv.hrtime(), 0
    local timer = uv.new_timer()
    timer:start(5, 5, function() ticks = ticks + 1 end)
    local e = failure(file.hash { here:at "large", timeout = 0.3 })
    timer:close()
    assert.equal("timeout", e.code)
    assert.is_true(ticks >= 10, ticks .. " ticks")
    assert.is_true(uv.hrtime() - began < 60e9)
  end)
end)

describe("file.find", function()
  local function found(...)
    local config = { ... }
    local more = type(config[#config]) == "table" and table.remove(config) or {}
    for key, value in pairs(more) do config[key] = value end
    config.path = here.root
    local names = {}
    for i, entry in ipairs(output(file.find(config))) do names[i] = entry.path:sub(#here.root + 2) end
    return table.concat(names, " ")
  end

  before_each(function()
    here:sh [[mkdir -p src/lib/deep .git doc; touch src/a.c src/a.h src/lib/b.c src/lib/deep/c.c src/.hidden.c .git/x.c doc/d.md
      ln -s src link; touch top.c]]
  end)

  it("finds by names and in folders of any depth", function()
    assert.equal("top.c", found "*.c")
    assert.equal("src/a.c src/lib/b.c src/lib/deep/c.c", found "src/**/*.c")
    assert.equal("src/a.c src/lib/b.c src/lib/deep/c.c top.c", found "**/*.c")
    assert.equal("src/lib/b.c src/lib/deep/c.c", found "src/**/lib/**")
    assert.equal("doc/d.md src/a.h", found("src/?.h", "doc/*"))
    assert.equal("src/.hidden.c", found "**/.*.c")
    assert.equal(".git/x.c", found ".git/*")
    assert.equal("", found "nothing/**")
  end)

  it("leaves out what is excluded, and finds folders and links", function()
    assert.equal("src/a.c top.c", found("**/*.c", { exclude = { "**/lib" } }))
    assert.equal("doc src src/lib src/lib/deep", found("**", { kind = "directory" }))
    assert.equal("link", found("**", { kind = "link" }))
  end)

  it("takes as long for many stars as for few", function()
    here:sh "mkdir -p $(seq -s/ 60); touch $(seq -s/ 60)/end"
    local began = uv.hrtime()
    assert.equal("", found(("**/"):rep(30) .. "no"))
    assert.is_true(uv.hrtime() - began < 10e9)
  end)

  it("refuses patterns that leave the folder", function()
    for _, text in ipairs { "../*", "/etc/*", "a/../../b", "", ("x"):rep(300) } do
      assert.equal("config_error", failure(file.find { text, path = here.root }).code, text)
    end
    assert.equal("ENOENT", failure(file.find { "*", path = here:at "nothing" }).details.errno)
  end)
end)
