-- Names, values, lines and errors that a page must show and never obey.
local flow = require "orrery"

local w = flow.workflow { name = "</script><img src=x onerror=alert(1)>\u{202E}gnp.exe" }

local MARKUP = "</script><script>document.title='owned'</script><!-- <script> -->"

w.log = { run = function(ctx)
  ctx:log("info", "\27[31mred\27[0m \27[1;44mbold on blue\27[0m \27]0;title\7\27[2Jcleared " .. MARKUP)
  ctx:log("warn", "\27[38;5;208morange\27[38;2;10;200;30mgreen\27[0m \u{202E}reversed\u{202C} \0nul \27")
  ctx:log("error", ("long "):rep(2000), { markup = MARKUP, bell = "\7" })
  return { [MARKUP] = MARKUP, big = 9007199254740993, list = { 1, 2, "\u{2028}\u{FEFF}" } }
end }

w.fail = { after = "log", run = function()
  flow.error { code = "<b>code</b>", message = MARKUP .. "\nsecond line \27[32mgreen",
    details = { html = MARKUP } }
end }

return w
