package helm

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/packhouse/packhouse/artifacttypes"
	"github.com/packhouse/packhouse/registry"
)

// upload is what one request brings.
type upload struct {
	chart, prov artifacttypes.Staged // nil for none
}

// uploadChart takes an archive as the body, or an archive, a provenance or
// both as the parts "chart" and "prov" of a form.
func uploadChart(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	var u upload
	return u.take(w, r, v, &u.chart)
}

// uploadProvenance takes a provenance as the body, or the same form.
func uploadProvenance(w http.ResponseWriter, r *http.Request, v artifacttypes.View) error {
	var u upload
	return u.take(w, r, v, &u.prov)
}

// take stores what comes, body being what a request without a form brings, and
// publishes it.
func (u *upload) take(w http.ResponseWriter, r *http.Request, v artifacttypes.View, body *artifacttypes.Staged) error {
	defer func() {
		for _, s := range []artifacttypes.Staged{u.chart, u.prov} {
			if s != nil {
				s.Discard()
			}
		}
	}()
	var err error
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind == "multipart/form-data" {
		err = u.readForm(r, v)
	} else {
		*body, err = v.Stage(r.Context(), r.Body)
	}
	if err == nil {
		err = u.publish(r, v)
	}
	if err != nil {
		return err
	}
	return artifacttypes.WriteJSON(w, r, http.StatusCreated, map[string]bool{"saved": true})
}

func (u *upload) readForm(r *http.Request, v artifacttypes.View) error {
	form, err := r.MultipartReader()
	if err != nil {
		return artifacttypes.Invalid("the form cannot be read: %v", err)
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return artifacttypes.Invalid("the form cannot be read: %v", err)
		}
		var to *artifacttypes.Staged
		switch part.FormName() {
		case "chart":
			to = &u.chart
		case "prov":
			to = &u.prov
		default:
			continue
		}
		if *to != nil {
			return artifacttypes.Invalid("the form has two parts called %s: upload one chart at a time", part.FormName())
		}
		if *to, err = v.Stage(r.Context(), part); err != nil {
			return err
		}
	}
	if u.chart == nil && u.prov == nil {
		return artifacttypes.Invalid("the form has neither a part called chart nor one called prov")
	}
	return nil
}

// publish adds what came to the version that it says it is.
func (u *upload) publish(r *http.Request, v artifacttypes.View) error {
	d, err := u.identify(r)
	if err != nil {
		return err
	}
	if err := v.Account().Allow(r.Context(), registry.Create, d.Package); err != nil {
		return err
	}
	rel, err := v.Release(r.Context(), d.Package, d.Version)
	if err != nil && !errors.Is(err, registry.NameUnknown) && !errors.Is(err, registry.ManifestUnknown) {
		return err
	}
	// Helm finds layers by their types; names are for those who pull by other tools.
	name := fileName(d.Package, d.Version)
	chart := artifacttypes.DraftFile{Name: name, MediaType: chartType, Content: u.chart}
	prov := artifacttypes.DraftFile{Name: name + provSuffix, MediaType: provType, Content: u.prov}
	if err == nil {
		present, _ := archiveOf(rel)
		if u.chart != nil && u.chart.Descriptor().Digest != present.Digest {
			return registry.E("helm.publish", registry.VersionExists, nil, "%s %s is there with other content and cannot be changed", rel.Package, rel.Version)
		}
		chart.Content = nil
		if prov.Name = ""; present.Name != "" { // else by Helm: no file has a name
			prov.Name = present.Name + provSuffix
		}
	}
	for _, f := range []artifacttypes.DraftFile{chart, prov} {
		if f.Content != nil {
			d.Files = append(d.Files, f)
		}
	}
	if len(d.Files) == 0 {
		return nil // the same again
	}
	_, err = v.Publish(r.Context(), d)
	return err
}

// identify tells what version was uploaded.
func (u *upload) identify(r *http.Request) (d artifacttypes.Draft, err error) {
	if u.chart == nil {
		f, err := inspect(r.Context(), provType, u.prov, u.prov.Descriptor().Size)
		if err != nil {
			return d, err
		}
		d.Package, d.Version = f.Provenance.Name, f.Provenance.Version
		return d, nil
	}
	f, err := inspect(r.Context(), chartType, u.chart, u.chart.Descriptor().Size)
	if err != nil {
		return d, err
	}
	d.Package, d.Version = f.Chart.Name, f.Chart.Version
	return d, nil
}
