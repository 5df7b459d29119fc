std = "lua54"
max_line_length = 140
-- Specs speak busted.
files["spec"] = { std = "+busted" }
-- `w.name = …` on a workflow is how nodes are added, and reading them back is optional.
files["examples"] = { ignore = { "241" } }
-- So do the tests of the examples, in the words of orrery test.
files["examples/tests"] = { std = "+busted" }
-- Annotation files declare what is defined elsewhere.
files["lua/orrery/library"] = { ignore = { "11.", "21." } }
-- A fault is a line of C as it stands and as it should not, each in one string.
files["spec/mutants/faults"] = { max_line_length = false }
exclude_files = { "build" }
