package maven

import (
	"slices"
	"strings"
)

const maxLicenses = 8

// licenses are the SPDX ids of what POMs call licenses, by the name or URL
// reduced to its letters and digits. A POM's own words are free text, so
// anything else stays unknown.
var licenses = map[string]string{
	"apache20": "Apache-2.0", "apachelicense20": "Apache-2.0", "apachelicenseversion20": "Apache-2.0",
	"theapachelicenseversion20": "Apache-2.0", "theapachesoftwarelicenseversion20": "Apache-2.0",
	"apachesoftwarelicenseversion20": "Apache-2.0", "apache2": "Apache-2.0", "theapachelicense20": "Apache-2.0",
	"wwwapacheorglicenseslicense20": "Apache-2.0", "wwwapacheorglicenseslicense20txt": "Apache-2.0",
	"mit": "MIT", "mitlicense": "MIT", "themitlicense": "MIT", "opensourceorglicensesmit": "MIT",
	"bsd2clause": "BSD-2-Clause", "bsd2clauselicense": "BSD-2-Clause", "the2clausebsdlicense": "BSD-2-Clause",
	"bsd3clause": "BSD-3-Clause", "bsd3clauselicense": "BSD-3-Clause", "the3clausebsdlicense": "BSD-3-Clause", "newbsdlicense": "BSD-3-Clause",
	"epl10": "EPL-1.0", "eclipsepubliclicense10": "EPL-1.0", "eclipsepubliclicensev10": "EPL-1.0",
	"epl20": "EPL-2.0", "eclipsepubliclicense20": "EPL-2.0", "eclipsepubliclicensev20": "EPL-2.0", "eclipsepubliclicensev20epl20": "EPL-2.0",
	"edl10": "BSD-3-Clause", "eclipsedistributionlicensev10": "BSD-3-Clause",
	"mpl20": "MPL-2.0", "mozillapubliclicenseversion20": "MPL-2.0", "mozillapubliclicense20": "MPL-2.0",
	"cc010": "CC0-1.0", "publicdomainperccreativecommonscc0": "CC0-1.0",
	"isc": "ISC", "isclicense": "ISC", "unlicense": "Unlicense", "theunlicense": "Unlicense", "bsl10": "BSL-1.0",
}

// spdx renders names and URLs of licenses, in pairs, as an SPDX expression. A
// POM with several offers the choice, POM reference "Licenses". It is "" when
// one is unknown.
func spdx(pairs []string) string {
	var ids []string
	for pair := range slices.Chunk(pairs, 2) {
		id := ""
		for _, text := range pair {
			if id == "" {
				id = licenses[reduce(text)]
			}
		}
		if id == "" {
			return ""
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return strings.Join(ids, " OR ")
}

func reduce(text string) string {
	text = strings.ToLower(text)
	if _, after, ok := strings.Cut(text, "://"); ok {
		text = after
	}
	text = strings.TrimSuffix(text, ".html")
	return strings.Map(func(r rune) rune {
		if r < 0x80 && isAlnum(byte(r)) {
			return r
		}
		return -1
	}, text)
}
