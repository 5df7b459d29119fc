--- Apollo: what is known of people and companies. The API is described at docs.apollo.io.
local flow = require "orrery"

return flow.connector {
  name = "apollo",
  base = "https://api.apollo.io/api/v1",
  auth = { header = "X-Api-Key" },
  key = flow.secret "APOLLO_API_KEY",
  rate = "3/s",
  error = "error",
  operations = {
    person = {
      doc = "Finds what is known of a person, by an address, or a name and a company. Outputs { name, "
        .. "title, email, "
        .. "organization, … }, nothing where nobody is found.",
      path = "/people/match",
      config = { email = "string?", name = "string?", first_name = "string?", last_name = "string?",
        domain = "string?", organization_name = "string?", linkedin_url = "string?",
        reveal_personal_emails = { type = "boolean", default = false } },
      body = { "email", "name", "first_name", "last_name", "domain", "organization_name", "linkedin_url",
        "reveal_personal_emails" },
      result = "person",
      examples = { [[apollo.person { email = "${item.email}", each = "${nodes.people}" }]] },
    },
    company = {
      doc = "Finds what is known of a company by its domain. Outputs { name, industry, "
        .. "estimated_num_employees, … }.",
      path = "/organizations/enrich",
      config = { domain = "string" },
      query = { "domain" },
      result = "organization",
      examples = { [[apollo.company { domain = "${input.domain}" }]] },
    },
  },
}
