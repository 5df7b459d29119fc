-- A CI pipeline: a script is checked, its tests run for each locale of a matrix, a table of inputs
-- and results is tried beside them, and all of it becomes one JUnit report, whatever fails.
--   orrery run examples/ci.lua --input folder=/tmp/orrery-ci
local flow = require "orrery"

local w = flow.workflow {
  name = "ci",
  input = flow.schema {
    folder = { type = "string", default = "/tmp/orrery-ci" },
    matrix = { type = "string[]", default = { "C", "C.UTF-8" } },
    only = { type = "string", default = "*", doc = "a pattern of the names of cases" },
  },
  on_error = "drain",
  output = { cases = "${nodes.report.total}", passed = "${nodes.report.passed}",
    report = "${nodes.report.report}" },
}

-- ---- what is tested -----------------------------------------------------------------------------

w.clean = flow.file.remove { path = "${input.folder}/reports", recursive = true }

w.script = flow.file.write { after = "clean", path = "${input.folder}/slug.sh", mkdirs = true, content = [[
printf '%s' "$1" | tr -cs 'A-Za-z0-9' '-' | tr 'A-Z' 'a-z' | sed 's/^-//; s/-$//'
]] }

w.tests = flow.file.write { after = "script", path = "${input.folder}/slug.t", content = [[
n=0
is() {
  n=$((n + 1))
  got=$(sh slug.sh "$1")
  if [ "$got" = "$2" ]; then echo "ok $n - $3"; else echo "not ok $n - $3"; echo "# got $got, expected $2"; fi
}
echo "TAP version 14"
is "Hello, World" hello-world "punctuation becomes a dash"
is "  x  " x "blanks around are left out"
echo "ok 3 - accents # SKIP not in this version"
echo "1..3"
]] }

-- ---- the pipeline -------------------------------------------------------------------------------

w.lint = flow.test.case { "sh", "-n", "${input.folder}/slug.sh", after = "tests", timeout = "10s" }

w.test = flow.test.suite { after = "lint", each = "${input.matrix}", item_name = "${item}",
  each_on_failure = "continue", name = "slug (${item})", timeout = "1m",
  shell = "sh slug.t", cwd = "${input.folder}", env = { LC_ALL = "${item}" },
  report = "${input.folder}/reports/${item}.xml" }

w.table = flow.test.suite { after = "lint", name = "table", parallel = 4, retries = 1, case_timeout = "10s",
  filter = "${input.only}", report = "${input.folder}/reports/table.xml",
  flow.test.case { name = "slug", items = {
    { name = "empty", text = "", expected = "" },
    { name = "digits", text = "7 of 9", expected = "7-of-9" },
    { name = "dashes", text = "--a--b--", expected = "a-b" },
  }, test = function(ctx)
    local item = ctx.context.item
    local got = flow.exec { "sh", "slug.sh", item.text, cwd = ctx.input.folder }.stdout
    assert(got == item.expected, ("got %q, expected %q"):format(got, item.expected))
  end },
}

w.report = flow.test.suite { after = { "test", "table" }, join = "done",
  results = "${input.folder}/reports/*.xml", report = "${input.folder}/report.xml" }

return w
