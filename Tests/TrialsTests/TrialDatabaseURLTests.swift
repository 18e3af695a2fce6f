import Testing

@testable import Trials

@Suite struct TrialDatabaseURLTests {
  @Test(arguments: [
    ("postgres://host/db", "postgres://host/db", nil),
    ("postgres://me@host:5433/db", "postgres://me@host:5433/db", nil),
    ("postgres://me:se%40cret@host/db?sslmode=require", "postgres://me@host/db?sslmode=require", "se@cret"),
    ("postgresql:///db?host=/run&password=p%2Fq&user=me", "postgresql:///db?host=/run&user=me", "p/q"),
    ("postgres:///db?password=x", "postgres:///db", "x"),
    ("postgres://a:b:c@[::1]:1/db", "postgres://a@[::1]:1/db", "b:c"),
  ])
  func `a password is taken out of an address, wherever it stands`(text: String, rest: String, password: String?) throws
  {
    let url = try #require(TrialDatabaseURL(text))
    #expect(url.withoutPassword == rest)
    #expect(url.password == password)
  }

  @Test(arguments: ["", "postgres", "trial.db", "http://host/", "postgres:/db"])
  func `what is no PostgreSQL address is none`(text: String) { #expect(TrialDatabaseURL(text) == nil) }

  @Test(arguments: [
    ("postgres://h/db", "postgres://h/db?options=-c%20search_path%3Dtrial_1"),
    ("postgres:///db?host=/run", "postgres:///db?host=/run&options=-c%20search_path%3Dtrial_1"),
  ])
  func `a schema is searched by an option of the address`(text: String, with: String) throws {
    #expect(try #require(TrialDatabaseURL(text)).searching("trial_1").withoutPassword == with)
  }
}
