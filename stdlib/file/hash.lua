--- `file.hash`: the digest of what is in a file.
local flow = require "orrery"
local open_files = require "orrery.stdlib.file.shared.open_files"
local uv = require "luv"

local function mismatch(path, expected, hash)
  flow.error { code = "hash_mismatch", retryable = false,
    message = ("%s is not the file that was expected: its digest is %s, not %s"):format(path, hash, expected),
    details = { path = path, hash = hash, expected = expected } }
end

return flow.type {
  name = "file.hash",
  errors = { "file_error", "hash_mismatch" },
  doc = [[Computes the digest of a file in hex, in a thread and without holding the file in memory:
algorithm = "sha256", "sha512", or "sha1" and "md5", which keep out no forger. With `expect` a
file of another digest fails the node with code "hash_mismatch". Outputs { path, hash, algorithm,
size }.]],
  config = flow.schema {
    path = "string", algorithm = { enum = { "sha256", "sha512", "sha1", "md5" }, default = "sha256" },
    expect = "string?",
  },
  output = { path = "string", hash = "string", algorithm = "string", size = "integer" },
  positional = "path",
  examples = { [[flow.file.hash { "/etc/hostname" }]],
    [[flow.file.hash { path = "image.iso", expect = "${input.sha256}" }]] },
  run = function(_, config)
    local path = config.path
    local file <close> = open_files.open("read", path, uv.constants.O_RDONLY)
    open_files.must_be_regular("read", file)
    local hash = file:perform("read", path, "hash", config.algorithm)
    if config.expect and config.expect:lower() ~= hash then mismatch(path, config.expect, hash) end
    return { path = path, hash = hash, algorithm = config.algorithm, size = file.stat.size }
  end,
}
