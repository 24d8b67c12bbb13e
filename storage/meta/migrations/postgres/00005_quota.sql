-- What each namespace stores, and how much it may. A blob or manifest counts
-- once in a namespace, however many of its repositories hold it, and as long as
-- any does: in the trash, too. Triggers keep the counts, so that no statement
-- can change what is stored and miss them.

-- +goose Up
ALTER TABLE namespaces ADD COLUMN quota_bytes BIGINT;     -- NULL for no limit
ALTER TABLE namespaces ADD COLUMN quota_manifests BIGINT; -- as above

CREATE TABLE namespace_usage (
    namespace_id BIGINT PRIMARY KEY REFERENCES namespaces (id) ON DELETE CASCADE,
    bytes        BIGINT NOT NULL DEFAULT 0 CHECK (bytes >= 0), -- of its blobs and manifests
    manifests    BIGINT NOT NULL DEFAULT 0 CHECK (manifests >= 0)
);

CREATE TABLE namespace_blobs (
    namespace_id BIGINT NOT NULL,
    blob_id      BIGINT NOT NULL,
    refs         BIGINT NOT NULL CHECK (refs >= 0), -- its repositories that show it
    PRIMARY KEY (namespace_id, blob_id)
);

CREATE TABLE namespace_manifests (
    namespace_id BIGINT NOT NULL,
    manifest_id  BIGINT NOT NULL,
    refs         BIGINT NOT NULL CHECK (refs >= 0), -- periods in its repositories
    PRIMARY KEY (namespace_id, manifest_id)
);

INSERT INTO namespace_blobs
    SELECT r.namespace_id, rb.blob_id, count(*) FROM repository_blobs rb
    JOIN repositories r ON r.id = rb.repository_id GROUP BY r.namespace_id, rb.blob_id;
INSERT INTO namespace_manifests
    SELECT r.namespace_id, p.manifest_id, count(*) FROM memberships p
    JOIN repositories r ON r.id = p.repository_id GROUP BY r.namespace_id, p.manifest_id;
INSERT INTO namespace_usage
    SELECT n.id,
        (SELECT coalesce(sum(b.size), 0) FROM namespace_blobs h JOIN blobs b ON b.id = h.blob_id WHERE h.namespace_id = n.id)
        + (SELECT coalesce(sum(length(m.raw)), 0) FROM namespace_manifests h JOIN manifests m ON m.id = h.manifest_id WHERE h.namespace_id = n.id),
        (SELECT count(*) FROM namespace_manifests h WHERE h.namespace_id = n.id)
    FROM namespaces n;

-- +goose StatementBegin
CREATE FUNCTION namespaces_usage() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO namespace_usage (namespace_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER namespaces_usage AFTER INSERT ON namespaces
    FOR EACH ROW EXECUTE FUNCTION namespaces_usage();

-- +goose StatementBegin
CREATE FUNCTION repository_blobs_added() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO namespace_blobs (namespace_id, blob_id, refs)
        SELECT namespace_id, NEW.blob_id, 1 FROM repositories WHERE id = NEW.repository_id
        ON CONFLICT (namespace_id, blob_id) DO UPDATE SET refs = namespace_blobs.refs + 1;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER repository_blobs_added AFTER INSERT ON repository_blobs
    FOR EACH ROW EXECUTE FUNCTION repository_blobs_added();

-- +goose StatementBegin
CREATE FUNCTION repository_blobs_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE namespace_blobs SET refs = refs - 1 WHERE blob_id = OLD.blob_id
        AND namespace_id = (SELECT namespace_id FROM repositories WHERE id = OLD.repository_id);
    DELETE FROM namespace_blobs WHERE blob_id = OLD.blob_id AND refs = 0
        AND namespace_id = (SELECT namespace_id FROM repositories WHERE id = OLD.repository_id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER repository_blobs_removed AFTER DELETE ON repository_blobs
    FOR EACH ROW EXECUTE FUNCTION repository_blobs_removed();

-- +goose StatementBegin
CREATE FUNCTION memberships_added() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO namespace_manifests (namespace_id, manifest_id, refs)
        SELECT namespace_id, NEW.manifest_id, 1 FROM repositories WHERE id = NEW.repository_id
        ON CONFLICT (namespace_id, manifest_id) DO UPDATE SET refs = namespace_manifests.refs + 1;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER memberships_added AFTER INSERT ON memberships
    FOR EACH ROW EXECUTE FUNCTION memberships_added();

-- +goose StatementBegin
CREATE FUNCTION memberships_removed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE namespace_manifests SET refs = refs - 1 WHERE manifest_id = OLD.manifest_id
        AND namespace_id = (SELECT namespace_id FROM repositories WHERE id = OLD.repository_id);
    DELETE FROM namespace_manifests WHERE manifest_id = OLD.manifest_id AND refs = 0
        AND namespace_id = (SELECT namespace_id FROM repositories WHERE id = OLD.repository_id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER memberships_removed AFTER DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION memberships_removed();

-- +goose StatementBegin
CREATE FUNCTION namespace_blobs_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE namespace_usage SET bytes = bytes + (SELECT size FROM blobs WHERE id = NEW.blob_id)
        WHERE namespace_id = NEW.namespace_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER namespace_blobs_first AFTER INSERT ON namespace_blobs
    FOR EACH ROW EXECUTE FUNCTION namespace_blobs_first();

-- +goose StatementBegin
CREATE FUNCTION namespace_blobs_last() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE namespace_usage SET bytes = bytes - (SELECT size FROM blobs WHERE id = OLD.blob_id)
        WHERE namespace_id = OLD.namespace_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER namespace_blobs_last AFTER DELETE ON namespace_blobs
    FOR EACH ROW EXECUTE FUNCTION namespace_blobs_last();

-- +goose StatementBegin
CREATE FUNCTION namespace_manifests_first() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE namespace_usage SET manifests = manifests + 1,
        bytes = bytes + (SELECT length(raw) FROM manifests WHERE id = NEW.manifest_id)
        WHERE namespace_id = NEW.namespace_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER namespace_manifests_first AFTER INSERT ON namespace_manifests
    FOR EACH ROW EXECUTE FUNCTION namespace_manifests_first();

-- +goose StatementBegin
CREATE FUNCTION namespace_manifests_last() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE namespace_usage SET manifests = manifests - 1,
        bytes = bytes - (SELECT length(raw) FROM manifests WHERE id = OLD.manifest_id)
        WHERE namespace_id = OLD.namespace_id;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER namespace_manifests_last AFTER DELETE ON namespace_manifests
    FOR EACH ROW EXECUTE FUNCTION namespace_manifests_last();

-- +goose StatementBegin
CREATE FUNCTION blobs_resized() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE namespace_usage SET bytes = bytes + NEW.size - OLD.size WHERE namespace_id IN
        (SELECT r.namespace_id FROM repository_blobs rb JOIN repositories r ON r.id = rb.repository_id WHERE rb.blob_id = NEW.id);
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER blobs_resized AFTER UPDATE OF size ON blobs
    FOR EACH ROW WHEN (NEW.size <> OLD.size) EXECUTE FUNCTION blobs_resized();

-- A repository that becomes a package moves to the namespace of its feed.

-- +goose StatementBegin
CREATE FUNCTION repositories_moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE namespace_blobs SET refs = refs - 1 WHERE namespace_id = OLD.namespace_id
        AND blob_id IN (SELECT blob_id FROM repository_blobs WHERE repository_id = OLD.id);
    DELETE FROM namespace_blobs WHERE namespace_id = OLD.namespace_id AND refs = 0
        AND blob_id IN (SELECT blob_id FROM repository_blobs WHERE repository_id = OLD.id);
    INSERT INTO namespace_blobs (namespace_id, blob_id, refs)
        SELECT NEW.namespace_id, blob_id, 1 FROM repository_blobs WHERE repository_id = NEW.id
        ON CONFLICT (namespace_id, blob_id) DO UPDATE SET refs = namespace_blobs.refs + 1;
    UPDATE namespace_manifests SET refs = refs
            - (SELECT count(*) FROM memberships p WHERE p.repository_id = OLD.id AND p.manifest_id = namespace_manifests.manifest_id)
        WHERE namespace_id = OLD.namespace_id AND manifest_id IN (SELECT manifest_id FROM memberships WHERE repository_id = OLD.id);
    DELETE FROM namespace_manifests WHERE namespace_id = OLD.namespace_id AND refs = 0
        AND manifest_id IN (SELECT manifest_id FROM memberships WHERE repository_id = OLD.id);
    INSERT INTO namespace_manifests (namespace_id, manifest_id, refs)
        SELECT NEW.namespace_id, manifest_id, count(*) FROM memberships WHERE repository_id = NEW.id GROUP BY manifest_id
        ON CONFLICT (namespace_id, manifest_id) DO UPDATE SET refs = namespace_manifests.refs + excluded.refs;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER repositories_moved AFTER UPDATE OF namespace_id ON repositories
    FOR EACH ROW WHEN (NEW.namespace_id <> OLD.namespace_id) EXECUTE FUNCTION repositories_moved();

-- Nothing else that holds a count together changes in place.

-- +goose StatementBegin
CREATE FUNCTION stays() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END $$;
-- +goose StatementEnd
CREATE TRIGGER repository_blobs_stay BEFORE UPDATE OF repository_id, blob_id ON repository_blobs
    FOR EACH ROW EXECUTE FUNCTION stays('rows of repository_blobs are added and removed, not changed');
CREATE TRIGGER memberships_stay BEFORE UPDATE OF repository_id, manifest_id ON memberships
    FOR EACH ROW EXECUTE FUNCTION stays('a period belongs to its manifest and repository for ever');
CREATE TRIGGER manifests_stay BEFORE UPDATE OF raw ON manifests
    FOR EACH ROW EXECUTE FUNCTION stays('the bytes of a manifest never change');

-- The limits: whatever made a count grow is undone as a whole. What frees goes
-- through, even where a limit was set below what is stored.

-- +goose StatementBegin
CREATE FUNCTION namespace_usage_bytes() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n namespaces; BEGIN
    SELECT * INTO n FROM namespaces WHERE id = NEW.namespace_id;
    IF NEW.bytes > n.quota_bytes THEN
        RAISE EXCEPTION 'packhouse quota %', json_build_object('Namespace', n.name, 'What', 'bytes',
            'Used', OLD.bytes, 'Wanted', NEW.bytes - OLD.bytes, 'Limit', n.quota_bytes);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER namespace_usage_bytes AFTER UPDATE OF bytes ON namespace_usage
    FOR EACH ROW WHEN (NEW.bytes > OLD.bytes) EXECUTE FUNCTION namespace_usage_bytes();

-- +goose StatementBegin
CREATE FUNCTION namespace_usage_manifests() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE n namespaces; BEGIN
    SELECT * INTO n FROM namespaces WHERE id = NEW.namespace_id;
    IF NEW.manifests > n.quota_manifests THEN
        RAISE EXCEPTION 'packhouse quota %', json_build_object('Namespace', n.name, 'What', 'manifests',
            'Used', OLD.manifests, 'Wanted', NEW.manifests - OLD.manifests, 'Limit', n.quota_manifests);
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER namespace_usage_manifests AFTER UPDATE OF manifests ON namespace_usage
    FOR EACH ROW WHEN (NEW.manifests > OLD.manifests) EXECUTE FUNCTION namespace_usage_manifests();

-- Open upload sessions are counted, too, though not here.
CREATE INDEX uploads_principal ON uploads (principal);
CREATE INDEX uploads_repository ON uploads (repository);
