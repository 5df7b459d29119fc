--- Stories of the command: shell in a folder of its own.
local command = require "spec.support.command"

local story = {}

--- Shell in a folder of its own. `orrery` is the command, `await FILE TEXT` waits until the text is
--- in the file.
---@param workflow string the source of `w.lua`
---@param lines string
---@return table result with `out` and `err`
function story.tell(workflow, lines)
  local path = command.path:match "^/" and command.quote(command.path) or '"$OLD"/' .. command.path
  return command.shell(([[umask 022
    dir=$(mktemp -d); trap 'cd /; umount $dir/full 2>/dev/null; rm -rf "$dir"' EXIT
    chmod 777 $dir
    orrery() { timeout 120 %s "$@"; }
    command=%s; support=$OLD/spec/support
    as_user() { # who may not come to where the command lies
      if [ $(id -u) != 0 ]; then orrery "$@"; return; fi
      cp "$command" $dir/command; chmod 755 $dir/command
      setpriv --reuid=65534 --clear-groups timeout 120 $dir/command "$@"
    }
    await() { for i in $(seq 6000); do grep -q "$2" $1 2>/dev/null && return; sleep 0.01; done; echo "no $2 in $1:"; cat $1; }
    pid_of() { sqlite3 $1 'SELECT pid FROM owners ORDER BY id DESC LIMIT 1'; }
    cd $dir; cat >w.lua <<'END'
%s
END
    run() { orrery run w.lua -q --store sqlite:$1; echo "code $?"; }
    resume() { orrery resume -q --store sqlite:$1; echo "code $?"; }
%s]]):format(path, path, workflow, lines))
end

--- Fails where one of the texts is not in what was printed.
function story.has(result, ...)
  for _, part in ipairs { ... } do
    local text = result.out .. result.err
    assert(text:find(part, 1, true), ("%q is not in:\n%s"):format(part, text))
  end
end

return story
