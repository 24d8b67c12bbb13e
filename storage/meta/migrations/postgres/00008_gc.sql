-- What the collector goes by: each of its queries is led by an index over what
-- is garbage, so that a pass costs by what it removes and not by what is there.

-- +goose Up
UPDATE identity SET oldest = 8; -- what knows less does not say that it runs, nor whether its keys were given up

CREATE TABLE collector ( -- one row
    id             BIGINT PRIMARY KEY CHECK (id = 1),
    started_at     BIGINT NOT NULL DEFAULT 0, -- its last pass
    untagged_after BIGINT NOT NULL DEFAULT 0  -- how far memberships were looked at for untagged manifests
);
INSERT INTO collector (id) VALUES (1);

ALTER TABLE object_blocks ADD COLUMN swept_at BIGINT; -- its keys were given up: no commit may name them any more

ALTER TABLE repositories ADD COLUMN purged_at BIGINT; -- its removal began: it cannot be restored
CREATE INDEX repositories_purged ON repositories (id) WHERE purged_at IS NOT NULL;
CREATE INDEX repositories_trash ON repositories (name) WHERE deleted_at IS NOT NULL;

DROP INDEX blobs_unreferenced;
CREATE INDEX blobs_unreferenced ON blobs (unreferenced_since, id) WHERE unreferenced_since IS NOT NULL;

ALTER TABLE memberships ADD COLUMN untagged_at BIGINT; -- the latest end of a tag or index that led to it, of those whose periods were removed
ALTER TABLE memberships ADD COLUMN orphaned_at BIGINT; -- of an open period: since when the subject, which was there, is not
CREATE INDEX memberships_repository ON memberships (repository_id, id);
CREATE INDEX memberships_orphaned ON memberships (orphaned_at, id) WHERE orphaned_at IS NOT NULL AND until_gen IS NULL;

UPDATE memberships SET orphaned_at = (
        SELECT max(o.until_at) FROM manifests m JOIN manifests s ON s.digest = m.subject
        JOIN memberships o ON o.manifest_id = s.id AND o.repository_id = memberships.repository_id WHERE m.id = memberships.manifest_id)
    WHERE until_gen IS NULL AND manifest_id IN (SELECT id FROM manifests WHERE subject IS NOT NULL)
    AND NOT EXISTS (SELECT 1 FROM manifests m JOIN memberships o ON o.repository_id = memberships.repository_id AND o.digest = m.subject AND o.until_gen IS NULL
        WHERE m.id = memberships.manifest_id);

CREATE TABLE loose_manifests ( -- a period that held it was removed: the collector looks whether another does
    manifest_id BIGINT PRIMARY KEY
);
INSERT INTO loose_manifests SELECT id FROM manifests m WHERE NOT EXISTS (SELECT 1 FROM memberships WHERE manifest_id = m.id)
    AND NOT EXISTS (SELECT 1 FROM tags WHERE manifest_id = m.id);

-- +goose StatementBegin
CREATE FUNCTION tags_loosened() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO loose_manifests (manifest_id) VALUES (OLD.manifest_id) ON CONFLICT DO NOTHING;
    IF OLD.until_at IS NOT NULL THEN
        UPDATE memberships SET untagged_at = greatest(untagged_at, OLD.until_at)
            WHERE manifest_id = OLD.manifest_id AND repository_id = OLD.repository_id AND until_gen IS NULL;
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER tags_loosened AFTER DELETE ON tags FOR EACH ROW EXECUTE FUNCTION tags_loosened();

-- +goose StatementBegin
CREATE FUNCTION memberships_loosened() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO loose_manifests (manifest_id) VALUES (OLD.manifest_id) ON CONFLICT DO NOTHING;
    IF OLD.until_at IS NOT NULL THEN
        UPDATE memberships SET untagged_at = greatest(untagged_at, OLD.until_at) WHERE repository_id = OLD.repository_id AND until_gen IS NULL
            AND digest IN (SELECT digest FROM manifest_children WHERE manifest_id = OLD.manifest_id);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER memberships_loosened AFTER DELETE ON memberships FOR EACH ROW EXECUTE FUNCTION memberships_loosened();

-- +goose StatementBegin
CREATE FUNCTION memberships_subject_gone() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE memberships SET orphaned_at = NEW.until_at WHERE repository_id = NEW.repository_id AND until_gen IS NULL
        AND manifest_id IN (SELECT id FROM manifests WHERE subject = NEW.digest);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER memberships_subject_gone AFTER UPDATE OF until_gen ON memberships
    FOR EACH ROW WHEN (OLD.until_gen IS NULL AND NEW.until_gen IS NOT NULL) EXECUTE FUNCTION memberships_subject_gone();

-- +goose StatementBegin
CREATE FUNCTION memberships_subject_back() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE memberships SET orphaned_at = NULL WHERE repository_id = NEW.repository_id AND until_gen IS NULL AND orphaned_at IS NOT NULL
        AND manifest_id IN (SELECT id FROM manifests WHERE subject = NEW.digest);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER memberships_subject_back AFTER INSERT ON memberships
    FOR EACH ROW WHEN (NEW.until_gen IS NULL) EXECUTE FUNCTION memberships_subject_back();
