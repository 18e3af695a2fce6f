import PostgreSQL
import Testing

struct PostgresAddressTests {
  @Test(arguments: [
    ("postgres://me:secret@db.example:5433/work", "postgres://me@db.example:5433/work"),
    ("postgresql://me@/work?host=/run/postgresql&password=secret", "postgres://me@/work?host=/run/postgresql"),
    ("host=a,b port=1,2 dbname=x password=secret", "postgres://a:1,b:2/x"),
    ("postgres:///work?host=/run/postgresql", "postgres:///work?host=/run/postgresql"),
  ])
  func `an address is shown without its password`(_ given: String, _ shown: String) throws {
    #expect(try PostgresAddress(given).shown == shown)
  }

  @Test(arguments: ["postgres://[::1", "postgres://h/db?nonsense=1", "secret"])
  func `a text that libpq cannot read is refused without being told`(_ given: String) {
    #expect { _ = try PostgresAddress(given) } throws: { error in
      (error as? PostgresError)?.kind == .refused && !"\(error)".contains("secret")
    }
  }

  @Test func `names stay beside the addresses that they stand for`() throws {
    let address = try PostgresAddress("postgres://a.example:1,b.example:2/x")
    #expect(address.hosts == ["a.example", "b.example"])
    let resolved = address.resolved([["10.0.0.1", "::1"], ["10.0.0.2"]])
    #expect(resolved["host"] == "a.example,a.example,b.example")
    #expect(resolved["hostaddr"] == "10.0.0.1,::1,10.0.0.2")
    #expect(resolved["port"] == "1,1,2")
    #expect(try PostgresAddress("hostaddr=10.0.0.1").hosts.isEmpty)
  }

  @Test(arguments: [
    ("host=/a,/b user=x", ["/a - -", "/b - -"]),
    ("postgres://a:1,b/x", ["a - 1", "b - -"]),
    ("host=a,b hostaddr=10.0.0.1, port=5", ["a 10.0.0.1 5", "b - 5"]),
    ("hostaddr=10.0.0.1,10.0.0.2", ["- 10.0.0.1 -", "- 10.0.0.2 -"]),
    ("host=a", ["a - -"]),
    // libpq says what is wrong with it.
    ("host=a,b,c port=1,2", ["a,b,c - 1,2"]),
  ])
  func `each server of a list is an address of its own`(_ given: String, _ places: [String]) throws {
    let found = try PostgresAddress(given).places.map { place in
      ["host", "hostaddr", "port"].map { place[$0] ?? "-" }.joined(separator: " ")
    }
    #expect(found == places)
  }
}
