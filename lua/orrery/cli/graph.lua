--- `orrery graph FILE`: the workflow drawn.
local out = require "orrery.cli.shared.out"
local files = require "orrery.cli.shared.files"

local graph = {}

local ENDINGS = { svg = "svg", dot = "dot", gv = "dot", mmd = "mermaid", mermaid = "mermaid", txt = "text" }

-- The format, or nil and what is wrong with the name of the output.
local function format_of(args)
  if args.format then return args.format end
  if not args.output or args.output == "-" then return "text" end
  local ending = args.output:match("[^/]%.([^./]*)$")
  if not ending then
    return nil, ("%s has no ending that names a format; add -f text, dot, mermaid or svg"):format(args.output)
  end
  local format = ENDINGS[ending:lower()]
  if format then return format end
  return nil, ("there is no format for a name that ends in .%s; end it in .svg, .dot, .gv, .mmd, .mermaid or "
    .. ".txt, or add -f text, "
    .. "dot, mermaid or svg"):format(ending)
end

function graph.main(args)
  local format, unknown = format_of(args)
  if not format then
    out.err("orrery graph: ", unknown, "\n")
    return 2
  end
  local compiled = files.compile(args.file)
  if not compiled then return 2 end
  local view = require("orrery.history.graph.view").of(compiled.def, compiled.plan:layers())
  local text = require("orrery.cli.display.formats")[format](view)
  if not args.output or args.output == "-" then
    out.write(text)
    return 0
  end
  local file, why = io.open(args.output, "w")
  if not file then
    out.err(("orrery graph: cannot write %s; give -o a path in a folder that exists and is yours\n")
      :format(why))
    return 2
  end
  local ok, problem = file:write(text)
  local closed, later = file:close()
  if not ok or not closed then
    out.err(("orrery graph: cannot write %s: %s\n"):format(args.output, tostring(problem or later)))
    return 1
  end
  return 0
end

return graph
