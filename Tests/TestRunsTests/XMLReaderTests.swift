import TestRuns
import Testing

extension TestRunsTests {
  @Suite struct XMLReaderTests {
    private static func read(_ text: String, limits: XMLReader.Limits = XMLReader.Limits()) throws(XMLError)
      -> XMLElement
    {
      try XMLReader.read(Array(text.utf8), limits: limits)
    }

    @Test func `elements, attributes, text and what stands between them are read`() throws {
      let root = try Self.read(
        """
        \u{FEFF}<?xml version="1.0" encoding='UTF-8'?>
        <!-- a > comment -->
        <a x="1" y='&lt;&#65;&#x42;"'>one<b/><?skip <this>?>two<![CDATA[<&raw>]]><c:d  z = "ö"></c:d >&amp;</a>
        """)
      #expect(root.name == "a")
      #expect(root.attributes == ["x": "1", "y": "<AB\""])
      #expect(root.text == "onetwo<&raw>&")
      #expect(root.children.map(\.name) == ["b", "c:d"])
      #expect(root.children[1]["z"] == "ö")
    }

    @Test(arguments: [
      ("", "it ends in the middle"), ("<a>", "it ends in the middle"), ("<a", "it ends in the middle"),
      ("<a></b>", "</b> where </a> was due"), ("</a>", "</a> ends nothing"), ("<a/><b/>", "a second root element"),
      ("<a/>x", "text outside of the root element"), ("x<a/>", "text outside of the root element"),
      ("<!DOCTYPE a><a/>", "a document type is not allowed"),
      ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "a document type is not allowed"),
      ("<a>&x;</a>", "unknown entity &x;"), ("<a>& b</a>", "an & that begins no reference"),
      ("<a>&#0;</a>", "U+0"), ("<a>&#xD800;</a>", "U+D800"), ("<a>&#99999999;</a>", "U+5F5E0FF"),
      ("<a>&#;</a>", "unknown entity"), ("<a>&#+5;</a>", "unknown entity"),
      ("<a>\u{1}</a>", "U+1 is not allowed"), ("<a x=\"1\" x=\"2\"/>", "stands there twice"),
      ("<a x=1/>", "without quotation marks"), ("<a x=\"<\"/>", "a < in an attribute"),
      ("<a x=\"1\"y=\"2\"/>", "no space"),
      ("<1a/>", "a name was expected"), ("< a/>", "a name was expected"),
      ("<?xml version=\"1.0\" encoding=\"latin-1\"?><a/>", "the encoding latin-1"),
      ("<a><![CDATA[x</a>", "it ends in the middle"), ("<a><!-- x</a>", "it ends in the middle"),
    ])
    func `what is not well formed is refused with a reason`(_ text: String, _ reason: String) {
      let error = #expect(throws: XMLError.self) { try Self.read(text) }
      #expect(error?.description.contains(reason) == true, "\(String(describing: error))")
    }

    @Test func `everything that a stranger could make large is bounded`() {
      var limits = XMLReader.Limits()
      (limits.maxDepth, limits.maxElements, limits.maxAttributes, limits.maxBytes) = (3, 5, 2, 200)
      #expect(throws: Never.self) { try Self.read("<a><b><c x='' y=''/></b></a>", limits: limits) }
      for text in [
        "<a><b><c><d></d></c></b></a>", "<a><b/><b/><b/><b/><b/></a>", "<a x='' y='' z=''/>",
        "<a>" + String(repeating: "x", count: 200) + "</a>",
      ] {
        #expect(throws: XMLError.self) { try Self.read(text, limits: limits) }
      }
    }

    @Test func `bytes that are not UTF-8 are refused`() {
      #expect(throws: XMLError.self) { try XMLReader.read([0x3C, 0x61, 0x3E, 0xFF, 0x3C, 0x2F, 0x61, 0x3E]) }
    }

    @Test func `whatever is cut off or changed is read or refused, and never worse`() {
      let text = Array("<?xml version=\"1.0\"?><a x=\"&quot;\"><b>&#10;<![CDATA[y]]></b><!--c--></a>".utf8)
      for count in text.indices { _ = try? XMLReader.read(Array(text[..<count])) }
      for index in text.indices {
        for byte: UInt8 in [0, 0x3C, 0x3E, 0x26, 0x3B, 0x22, 0x2F, 0x80, 0xFF] {
          var changed = text
          changed[index] = byte
          _ = try? XMLReader.read(changed)
        }
      }
    }

    @Test(arguments: [
      ("a<b>&\"c\"", false, "a&lt;b&gt;&amp;\"c\""), ("a\"\n\t", true, "a&quot;&#10;&#9;"),
      ("\u{0}\u{1B}[31m\u{FFFE}", false, "\u{FFFD}\u{FFFD}[31m\u{FFFD}"), ("]]>", false, "]]&gt;"), ("ö😀", false, "ö😀"),
    ])
    func `text is escaped, and what XML forbids is replaced`(_ text: String, _ isAttribute: Bool, _ escaped: String) {
      #expect(XMLText.escaped(text, isAttribute: isAttribute) == escaped)
    }

    @Test func `the end of a long text is kept, from the beginning of a character on`() {
      #expect(XMLText.end(of: Array("abc".utf8), limit: 3) == "abc")
      #expect(XMLText.end(of: Array("abcd".utf8), limit: 3) == "(1 bytes left out)\nbcd")
      #expect(XMLText.end(of: Array("aöb".utf8), limit: 2) == "(3 bytes left out)\nb")
    }
  }
}
