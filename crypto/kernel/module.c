/* The Python face of the kernel: the module `crypto._kernel`, for the stable ABI of CPython 3.11 and later.
 *
 * Arguments are `bytes` of fixed lengths; anything else is TypeError or ValueError(argument, rule), which the Python
 * side turns into the product's own refusals. Every computation runs without the GIL: it works on what C code copied
 * or on immutable bytes the caller holds. Only loading reads the environment: EDUTRUST_CPU, see cpu.h.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "sha256.h"
#include "sm2.h"
#include "sm3.h"

/* A key that verifies this often gets a table of its own (256 KB, worth about 24 verifications to build) ... */
#define TABLE_AFTER_USES 24
/* ... while fewer than so many are alive: 16 MB. */
#define MAX_LIVE_TABLES 64

static size_t live_tables; /* under the GIL */

/* ISO C knows no conversion between pointers to objects and to functions, POSIX and the slots of types need it. */
#define SLOT(function) (__extension__(void *)(function))
#define ALLOC_OF(type) (__extension__(allocfunc)PyType_GetSlot((type), Py_tp_alloc))
#define FREE_OF(type) (__extension__(freefunc)PyType_GetSlot((type), Py_tp_free))

/* ---- arguments ---- */

static int refuse(const char *argument, const char *rule)
{
    PyObject *value = Py_BuildValue("(ss)", argument, rule);
    if (value != NULL) {
        PyErr_SetObject(PyExc_ValueError, value);
        Py_DECREF(value);
    }
    return 0;
}

static int expect(Py_ssize_t given, Py_ssize_t wanted)
{
    if (given == wanted)
        return 1;
    PyErr_Format(PyExc_TypeError, "%zd arguments expected, %zd given", wanted, given);
    return 0;
}

static int take_bytes(PyObject *object, const char *argument, const uint8_t **data, size_t *size)
{
    char *start;
    Py_ssize_t length;
    if (!PyBytes_Check(object)) {
        PyErr_Format(PyExc_TypeError, "%s must be bytes", argument);
        return 0;
    }
    if (PyBytes_AsStringAndSize(object, &start, &length) < 0)
        return 0;
    *data = (const uint8_t *)start;
    *size = (size_t)length;
    return 1;
}

static const uint8_t *take_exactly(PyObject *object, const char *argument, size_t wanted)
{
    const uint8_t *data;
    size_t size;
    if (!take_bytes(object, argument, &data, &size))
        return NULL;
    if (size != wanted) {
        refuse(argument, "length");
        return NULL;
    }
    return data;
}

/* data stays NULL for the default user ID, whose Z every key has at hand. */
static int take_user_id(PyObject *object, const uint8_t **data, size_t *size)
{
    if (!take_bytes(object, "user_id", data, size))
        return 0;
    if (*size > SM2_MAX_ID_BYTES)
        return refuse("user_id", "length");
    if (*size == sizeof SM2_DEFAULT_ID && memcmp(*data, SM2_DEFAULT_ID, sizeof SM2_DEFAULT_ID) == 0)
        *data = NULL;
    return 1;
}

static PyObject *from_bytes(const uint8_t *data, size_t size)
{
    return PyBytes_FromStringAndSize((const char *)data, (Py_ssize_t)size);
}

/* A bytes object to fill before anyone else can see it. */
static PyObject *new_bytes(size_t size, uint8_t **data)
{
    PyObject *object = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (object != NULL)
        *data = (uint8_t *)PyBytes_AsString(object);
    return object;
}

static PyObject *raise_result(int result, const char *scalar, const char *point)
{
    switch (result) {
    case SM2_RANGE:
        refuse(scalar, "range");
        break;
    case SM2_POINT:
        refuse(point, "off_curve");
        break;
    case SM2_INFINITY:
        refuse(point, "infinity");
        break;
    case SM2_LENGTH:
        refuse("ciphertext", "form");
        break;
    case SM2_MEMORY:
        PyErr_NoMemory();
        break;
    default:
        PyErr_SetString(PyExc_OSError, "the system gave no random bytes");
    }
    return NULL;
}

static void digest_message(const sm2_public_key *key, const uint8_t *id, size_t id_size, const uint8_t *message,
                           size_t size, uint8_t e[32])
{
    sm3_state state;
    sm2_begin_digest(&state, key, id, id_size);
    sm3_update(&state, message, size);
    sm3_final(&state, e);
}

/* ---- PublicKey ---- */

typedef struct {
    PyObject_HEAD
    sm2_public_key key;
    affine *table; /* once there, there until the key's end */
    size_t uses;
} PublicKey;

static PyObject *public_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"public", NULL};
    PyObject *object;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &object))
        return NULL;
    const uint8_t *bytes = take_exactly(object, "public", 64);
    if (bytes == NULL)
        return NULL;
    PublicKey *self = (PublicKey *)ALLOC_OF(type)(type, 0);
    if (self == NULL)
        return NULL;
    self->table = NULL;
    self->uses = 0;
    if (sm2_public_load(&self->key, bytes) != SM2_OK) {
        Py_DECREF(self);
        refuse("public", "off_curve");
        return NULL;
    }
    return (PyObject *)self;
}

static void public_dealloc(PublicKey *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    if (self->table != NULL) {
        free(self->table);
        live_tables--;
    }
    FREE_OF(type)(self);
    Py_DECREF(type);
}

/* A table for the key; NULL without memory. Threads may be at it at once, and nobody waits: a thread that a fork()
 * leaves behind in the parent is missed by no one. */
static affine *build_table(const PublicKey *self)
{
    affine *table = malloc(sizeof(affine) * PUBLIC_TABLE_POINTS);
    if (table != NULL) {
        int built;
        Py_BEGIN_ALLOW_THREADS
        built = sm2_active_curve()->public_table(table, &self->key.point);
        Py_END_ALLOW_THREADS
        if (!built) {
            free(table);
            table = NULL;
        }
    }
    return table;
}

/* Give the table to the key, for others to use, if it has none yet and fewer than `limit` are alive; returns whether. */
static int keep_table(PublicKey *self, affine *table, size_t limit)
{
    if (table == NULL || self->table != NULL || live_tables >= limit)
        return 0;
    self->table = table;
    live_tables++;
    return 1;
}

/* By name, hence beyond MAX_LIVE_TABLES too. */
static PyObject *public_prepare(PublicKey *self, PyObject *unused)
{
    (void)unused;
    if (self->table == NULL) {
        affine *table = build_table(self);
        if (table == NULL)
            return PyErr_NoMemory();
        if (!keep_table(self, table, SIZE_MAX))
            free(table);
    }
    Py_RETURN_NONE;
}

static PyObject *public_verify(PublicKey *self, PyObject *const *args, Py_ssize_t count)
{
    const uint8_t *message, *signature, *id;
    size_t message_size, signature_size, id_size;
    if (!expect(count, 3) || !take_bytes(args[0], "message", &message, &message_size)
        || !take_bytes(args[1], "signature", &signature, &signature_size) || !take_user_id(args[2], &id, &id_size))
        return NULL;
    if (signature_size != 64)
        Py_RETURN_FALSE;
    if (self->table == NULL && ++self->uses % TABLE_AFTER_USES == 0 && live_tables < MAX_LIVE_TABLES) {
        /* Without memory for a table, verification goes on without one. */
        affine *table = build_table(self);
        if (!keep_table(self, table, MAX_LIVE_TABLES))
            free(table);
    }
    int valid;
    const affine *table = self->table;
    Py_BEGIN_ALLOW_THREADS
    uint8_t e[32];
    sm2_claim claim;
    digest_message(&self->key, id, id_size, message, message_size, e);
    valid = sm2_claim_of(&claim, e, signature) == SM2_OK;
    if (valid)
        valid = table != NULL ? sm2_active_curve()->public_check_known(&claim, table)
                              : sm2_active_curve()->public_check(&claim, &self->key.point);
    Py_END_ALLOW_THREADS
    return PyBool_FromLong(valid);
}

typedef struct {
    const uint8_t *message, *signature;
    size_t message_size, signature_size;
} row;

static int take_rows(PyObject *items, row *rows, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyTuple_GetItem(items, i);
        if (item == NULL)
            return 0;
        if (!PyTuple_Check(item) || PyTuple_Size(item) != 2) {
            PyErr_SetString(PyExc_TypeError, "items must be tuples (message, signature)");
            return 0;
        }
        if (!take_bytes(PyTuple_GetItem(item, 0), "message", &rows[i].message, &rows[i].message_size)
            || !take_bytes(PyTuple_GetItem(item, 1), "signature", &rows[i].signature, &rows[i].signature_size))
            return 0;
    }
    return 1;
}

/* With a table side by side, with table NULL one after the other. Returns 0 without memory. */
static int check_rows(const PublicKey *self, const affine *table, const row *rows, size_t count, const uint8_t *id,
                      size_t id_size, uint8_t *verdicts)
{
    sm2_claim *claims = malloc((count + 1) * sizeof *claims);
    size_t *places = malloc((count + 1) * sizeof *places);
    uint8_t *answers = malloc(count + 1);
    int result = 0;
    if (claims != NULL && places != NULL && answers != NULL) {
        size_t used = 0;
        sm3_state prefix, state;
        uint8_t e[32];
        sm2_begin_digest(&prefix, &self->key, id, id_size);
        for (size_t i = 0; i < count; i++) {
            verdicts[i] = 0;
            if (rows[i].signature_size != 64)
                continue;
            state = prefix;
            sm3_update(&state, rows[i].message, rows[i].message_size);
            sm3_final(&state, e);
            if (sm2_claim_of(&claims[used], e, rows[i].signature) == SM2_OK)
                places[used++] = i;
        }
        result = 1;
        if (table != NULL)
            result = sm2_active_curve()->public_check_many(claims, used, table, answers);
        else
            for (size_t i = 0; i < used; i++)
                answers[i] = (uint8_t)sm2_active_curve()->public_check(&claims[i], &self->key.point);
        for (size_t i = 0; result && i < used; i++)
            verdicts[places[i]] = answers[i];
    }
    free(claims);
    free(places);
    free(answers);
    return result;
}

/* verify_many(list of (message, signature), user_id) -> bytes of 0 and 1 */
static PyObject *public_verify_many(PublicKey *self, PyObject *const *args, Py_ssize_t count)
{
    const uint8_t *id;
    size_t id_size;
    if (!expect(count, 2) || !take_user_id(args[1], &id, &id_size))
        return NULL;
    if (!PyList_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "items must be a list");
        return NULL;
    }
    /* A tuple, so that the rows stay alive whatever others do to the list while the GIL is released. */
    PyObject *items = PyList_AsTuple(args[0]);
    if (items == NULL)
        return NULL;
    size_t rows_count = (size_t)PyTuple_Size(items);
    row *rows = malloc((rows_count + 1) * sizeof *rows);
    affine *own = NULL; /* a table for this call alone, where the key may not keep it */
    uint8_t *verdicts;
    PyObject *result = NULL;
    if (rows == NULL) {
        PyErr_NoMemory();
    } else if (take_rows(items, rows, (Py_ssize_t)rows_count)) {
        self->uses += rows_count;
        if (self->table == NULL
            && (rows_count >= TABLE_AFTER_USES || (self->uses >= TABLE_AFTER_USES && live_tables < MAX_LIVE_TABLES))) {
            /* Without memory for a table, verification goes on without one. */
            own = build_table(self);
            if (keep_table(self, own, MAX_LIVE_TABLES))
                own = NULL;
        }
        result = new_bytes(rows_count, &verdicts);
    }
    if (result != NULL) {
        int done;
        const affine *table = self->table != NULL ? self->table : own;
        Py_BEGIN_ALLOW_THREADS
        done = check_rows(self, table, rows, rows_count, id, id_size, verdicts);
        Py_END_ALLOW_THREADS
        if (!done) {
            Py_DECREF(result);
            result = PyErr_NoMemory();
        }
    }
    free(own);
    free(rows);
    Py_DECREF(items);
    return result;
}

static PyObject *public_encrypt(PublicKey *self, PyObject *object)
{
    const uint8_t *plain;
    size_t size;
    if (!take_bytes(object, "plaintext", &plain, &size))
        return NULL;
    if (size == 0) {
        refuse("plaintext", "length");
        return NULL;
    }
    uint8_t *out;
    PyObject *result = new_bytes(size + SM2_CIPHERTEXT_OVERHEAD, &out);
    if (result == NULL)
        return NULL;
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = sm2_encrypt(&self->key, plain, size, out);
    Py_END_ALLOW_THREADS
    if (done != SM2_OK) {
        Py_DECREF(result);
        return raise_result(done, "scalar", "public");
    }
    return result;
}

static PyObject *public_get_public(PublicKey *self, void *unused)
{
    (void)unused;
    return from_bytes(self->key.bytes, 64);
}

static PyObject *public_get_prepared(PublicKey *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(self->table != NULL);
}

static PyMethodDef public_methods[] = {
    {"verify", (PyCFunction)(void (*)(void))public_verify, METH_FASTCALL,
     "verify(message, signature, user_id) -> bool"},
    {"verify_many", (PyCFunction)(void (*)(void))public_verify_many, METH_FASTCALL,
     "verify_many(list of (message, signature), user_id) -> bytes, one 0 or 1 a row"},
    {"encrypt", (PyCFunction)(void (*)(void))public_encrypt, METH_O, "encrypt(plaintext) -> C1 || C3 || C2"},
    {"prepare", (PyCFunction)(void (*)(void))public_prepare, METH_NOARGS, "prepare(): build the key's table now"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef public_getset[] = {
    {"public", (getter)public_get_public, NULL, "64 bytes x || y", NULL},
    {"prepared", (getter)public_get_prepared, NULL, "whether the key has its table", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot public_slots[] = {
    {Py_tp_new, SLOT(public_new)},           {Py_tp_dealloc, SLOT(public_dealloc)},
    {Py_tp_methods, (void *)public_methods}, {Py_tp_getset, (void *)public_getset},
    {Py_tp_doc, (void *)"An SM2 public key, made ready once; threads may share it."},
    {0, NULL},
};

static PyType_Spec public_spec = {"crypto._kernel.PublicKey", sizeof(PublicKey), 0,
                                  Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, public_slots};

/* ---- PrivateKey ---- */

typedef struct {
    PyObject_HEAD
    sm2_private_key key;
} PrivateKey;

static PyObject *private_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"private", NULL};
    PyObject *object;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O", names, &object))
        return NULL;
    const uint8_t *bytes = take_exactly(object, "private", 32);
    if (bytes == NULL)
        return NULL;
    PrivateKey *self = (PrivateKey *)ALLOC_OF(type)(type, 0);
    if (self == NULL)
        return NULL;
    int loaded;
    Py_BEGIN_ALLOW_THREADS
    loaded = sm2_private_load(&self->key, bytes);
    Py_END_ALLOW_THREADS
    if (loaded != SM2_OK) {
        Py_DECREF(self);
        return raise_result(loaded, "private", "private");
    }
    return (PyObject *)self;
}

static void private_dealloc(PrivateKey *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);
    kernel_wipe(&self->key, sizeof self->key);
    FREE_OF(type)(self);
    Py_DECREF(type);
}

static PyObject *private_sign(PrivateKey *self, PyObject *const *args, Py_ssize_t count)
{
    const uint8_t *message, *id;
    size_t message_size, id_size;
    if (!expect(count, 2) || !take_bytes(args[0], "message", &message, &message_size)
        || !take_user_id(args[1], &id, &id_size))
        return NULL;
    uint8_t signature[64];
    int done;
    Py_BEGIN_ALLOW_THREADS
    uint8_t e[32];
    digest_message(&self->key.public_key, id, id_size, message, message_size, e);
    done = sm2_sign(&self->key, e, signature);
    Py_END_ALLOW_THREADS
    if (done != SM2_OK)
        return raise_result(done, "scalar", "private");
    return from_bytes(signature, sizeof signature);
}

static PyObject *private_sign_many(PrivateKey *self, PyObject *const *args, Py_ssize_t count)
{
    const uint8_t *id;
    size_t id_size;
    if (!expect(count, 2) || !take_user_id(args[1], &id, &id_size))
        return NULL;
    if (!PyList_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "messages must be a list");
        return NULL;
    }
    /* A tuple, so that the messages stay alive whatever others do to the list while the GIL is released. */
    PyObject *items = PyList_AsTuple(args[0]);
    if (items == NULL)
        return NULL;
    Py_ssize_t number = PyTuple_Size(items);
    row *rows = malloc(((size_t)number + 1) * sizeof *rows);
    PyObject *result = NULL;
    if (rows == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < number; i++)
        if (!take_bytes(PyTuple_GetItem(items, i), "messages", &rows[i].message, &rows[i].message_size))
            goto done;
    uint8_t *out;
    result = new_bytes((size_t)number * 64, &out);
    if (result != NULL) {
        int signed_all = SM2_OK;
        Py_BEGIN_ALLOW_THREADS
        sm3_state prefix, state;
        uint8_t e[32];
        sm2_begin_digest(&prefix, &self->key.public_key, id, id_size);
        for (Py_ssize_t i = 0; i < number && signed_all == SM2_OK; i++) {
            state = prefix;
            sm3_update(&state, rows[i].message, rows[i].message_size);
            sm3_final(&state, e);
            signed_all = sm2_sign(&self->key, e, out + 64 * i);
        }
        Py_END_ALLOW_THREADS
        if (signed_all != SM2_OK) {
            Py_DECREF(result);
            result = raise_result(signed_all, "scalar", "private");
        }
    }
done:
    free(rows);
    Py_DECREF(items);
    return result;
}

static PyObject *private_decrypt(PrivateKey *self, PyObject *object)
{
    const uint8_t *cipher;
    size_t size;
    if (!take_bytes(object, "ciphertext", &cipher, &size))
        return NULL;
    if (size <= SM2_CIPHERTEXT_OVERHEAD)
        return raise_result(SM2_LENGTH, "scalar", "ciphertext");
    uint8_t *out;
    PyObject *result = new_bytes(size - SM2_CIPHERTEXT_OVERHEAD, &out);
    if (result == NULL)
        return NULL;
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = sm2_decrypt(&self->key, cipher, size, out);
    Py_END_ALLOW_THREADS
    if (done == SM2_OK)
        return result;
    Py_DECREF(result);
    if (done == SM2_INVALID)
        Py_RETURN_NONE;
    return raise_result(done, "scalar", "ciphertext");
}

static PyObject *private_get_public(PrivateKey *self, void *unused)
{
    (void)unused;
    return from_bytes(self->key.public_key.bytes, 64);
}

static PyMethodDef private_methods[] = {
    {"sign", (PyCFunction)(void (*)(void))private_sign, METH_FASTCALL, "sign(message, user_id) -> r || s"},
    {"sign_many", (PyCFunction)(void (*)(void))private_sign_many, METH_FASTCALL,
     "sign_many(messages, user_id) -> r || s of each, one after the other"},
    {"decrypt", (PyCFunction)(void (*)(void))private_decrypt, METH_O,
     "decrypt(C1 || C3 || C2) -> plaintext, or None when it does not open"},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef private_getset[] = {
    {"public", (getter)private_get_public, NULL, "64 bytes x || y", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot private_slots[] = {
    {Py_tp_new, SLOT(private_new)},           {Py_tp_dealloc, SLOT(private_dealloc)},
    {Py_tp_methods, (void *)private_methods}, {Py_tp_getset, (void *)private_getset},
    {Py_tp_doc, (void *)"An SM2 private key, made ready once and wiped at its end; threads may share it."},
    {0, NULL},
};

static PyType_Spec private_spec = {"crypto._kernel.PrivateKey", sizeof(PrivateKey), 0,
                                   Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, private_slots};

/* ---- functions ---- */

static PyObject *module_generate(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    uint8_t d[32], public_key[64];
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = sm2_generate(d, public_key);
    Py_END_ALLOW_THREADS
    if (done != SM2_OK)
        return raise_result(done, "scalar", "public");
    PyObject *result = Py_BuildValue("(y#y#)", (const char *)d, (Py_ssize_t)32, (const char *)public_key,
                                     (Py_ssize_t)64);
    kernel_wipe(d, sizeof d);
    return result;
}

static PyObject *module_verify(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const uint8_t *message, *signature, *id;
    size_t message_size, signature_size, id_size;
    if (!expect(count, 4))
        return NULL;
    const uint8_t *public_key = take_exactly(args[0], "public", 64);
    if (public_key == NULL || !take_bytes(args[1], "message", &message, &message_size)
        || !take_bytes(args[2], "signature", &signature, &signature_size) || !take_user_id(args[3], &id, &id_size))
        return NULL;
    int loaded, valid = 0;
    Py_BEGIN_ALLOW_THREADS
    uint8_t e[32];
    sm2_claim claim;
    sm2_public_key key;
    loaded = sm2_public_load(&key, public_key);
    if (loaded == SM2_OK && signature_size == 64) {
        digest_message(&key, id, id_size, message, message_size, e);
        valid = sm2_claim_of(&claim, e, signature) == SM2_OK && sm2_active_curve()->public_check(&claim, &key.point);
    }
    Py_END_ALLOW_THREADS
    if (loaded != SM2_OK)
        return raise_result(loaded, "public", "public");
    return PyBool_FromLong(valid);
}

static PyObject *module_multiply_base(PyObject *module, PyObject *scalar)
{
    (void)module;
    const uint8_t *k = take_exactly(scalar, "scalar", 32);
    if (k == NULL)
        return NULL;
    uint8_t out[64];
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = sm2_multiply_base(k, out);
    Py_END_ALLOW_THREADS
    return done == SM2_OK ? from_bytes(out, 64) : raise_result(done, "scalar", "point");
}

static PyObject *module_multiply(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const uint8_t *k, *point;
    if (!expect(count, 2) || (k = take_exactly(args[0], "scalar", 32)) == NULL
        || (point = take_exactly(args[1], "point", 64)) == NULL)
        return NULL;
    uint8_t out[64];
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = sm2_multiply(k, point, out);
    Py_END_ALLOW_THREADS
    return done == SM2_OK ? from_bytes(out, 64) : raise_result(done, "scalar", "point");
}

static PyObject *module_multiply_two(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const uint8_t *a, *b, *point;
    if (!expect(count, 3) || (a = take_exactly(args[0], "scalar", 32)) == NULL
        || (b = take_exactly(args[1], "scalar", 32)) == NULL || (point = take_exactly(args[2], "point", 64)) == NULL)
        return NULL;
    uint8_t out[64];
    int done;
    Py_BEGIN_ALLOW_THREADS
    done = sm2_multiply_two(a, b, point, out);
    Py_END_ALLOW_THREADS
    return done == SM2_OK ? from_bytes(out, 64) : raise_result(done, "scalar", "point");
}

static PyObject *module_sm3(PyObject *module, PyObject *object)
{
    (void)module;
    const uint8_t *data;
    size_t size;
    if (!take_bytes(object, "data", &data, &size))
        return NULL;
    uint8_t out[32];
    Py_BEGIN_ALLOW_THREADS
    sm3_digest(data, size, out);
    Py_END_ALLOW_THREADS
    return from_bytes(out, 32);
}

static PyObject *module_hmac_sm3(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    const uint8_t *key, *data;
    size_t key_size, size;
    if (!expect(count, 2) || !take_bytes(args[0], "key", &key, &key_size)
        || !take_bytes(args[1], "data", &data, &size))
        return NULL;
    uint8_t out[32];
    Py_BEGIN_ALLOW_THREADS
    hmac_sm3(key, key_size, data, size, out);
    Py_END_ALLOW_THREADS
    return from_bytes(out, 32);
}

/* ---- many hashes: what the two trees of the ledger are made of, the same for both hashes ---- */

typedef void nodes_function(const uint8_t *children, size_t pairs, uint8_t *parents);
typedef void many_function(const uint8_t *const *messages, const size_t *lengths, size_t count, uint8_t prefix_used,
                           uint8_t prefix, uint8_t *out);

#define HASH_BYTES 32
#define PAIR_BYTES (2 * HASH_BYTES)

static PyObject *hash_level(PyObject *object, nodes_function *nodes)
{
    const uint8_t *children;
    size_t size;
    if (!take_bytes(object, "children", &children, &size))
        return NULL;
    if (size % PAIR_BYTES != 0) {
        refuse("children", "length");
        return NULL;
    }
    uint8_t *out;
    PyObject *result = new_bytes(size / 2, &out);
    if (result != NULL) {
        Py_BEGIN_ALLOW_THREADS
        nodes(children, size / PAIR_BYTES, out);
        Py_END_ALLOW_THREADS
    }
    return result;
}

/* merkle_levels(bytes of n hashes) -> [the same, n / 2 parents, n / 4 ... one]: of an odd level the last is left out */
static PyObject *hash_levels(PyObject *object, nodes_function *nodes)
{
    const uint8_t *hashes;
    size_t size;
    if (!take_bytes(object, "hashes", &hashes, &size))
        return NULL;
    if (size % HASH_BYTES != 0) {
        refuse("hashes", "length");
        return NULL;
    }
    const size_t count = size / HASH_BYTES;
    uint8_t *levels[8 * sizeof count];
    Py_ssize_t height = 0;
    for (size_t n = count; n > 1; n /= 2)
        height++;
    PyObject *result = PyList_New(height + 1);
    if (result == NULL)
        return NULL;
    Py_INCREF(object);
    PyList_SetItem(result, 0, object); /* takes the reference; cannot fail on a list of this length */
    for (Py_ssize_t level = 0; level < height; level++) {
        PyObject *parents = new_bytes((count >> (level + 1)) * HASH_BYTES, &levels[level]);
        if (parents == NULL) {
            Py_DECREF(result);
            return NULL;
        }
        PyList_SetItem(result, level + 1, parents);
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t level = 0; level < height; level++)
        nodes(level == 0 ? hashes : levels[level - 1], count >> (level + 1), levels[level]);
    Py_END_ALLOW_THREADS
    return result;
}

/* hash_many(list of bytes, prefix: bytes of length 0 or 1) -> 32 bytes a message, one after the other */
static PyObject *hash_messages(PyObject *const *args, Py_ssize_t count, many_function *many)
{
    const uint8_t *prefix;
    size_t prefix_size;
    if (!expect(count, 2) || !take_bytes(args[1], "prefix", &prefix, &prefix_size))
        return NULL;
    if (prefix_size > 1) {
        refuse("prefix", "length");
        return NULL;
    }
    if (!PyList_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "messages must be a list");
        return NULL;
    }
    /* A tuple, so that the messages stay alive whatever others do to the list while the GIL is released. */
    PyObject *items = PyList_AsTuple(args[0]);
    if (items == NULL)
        return NULL;
    Py_ssize_t number = PyTuple_Size(items);
    const uint8_t **messages = malloc(((size_t)number + 1) * sizeof *messages);
    size_t *lengths = malloc(((size_t)number + 1) * sizeof *lengths);
    PyObject *result = NULL;
    if (messages == NULL || lengths == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < number; i++)
        if (!take_bytes(PyTuple_GetItem(items, i), "messages", &messages[i], &lengths[i]))
            goto done;
    uint8_t *out;
    result = new_bytes((size_t)number * HASH_BYTES, &out);
    if (result != NULL) {
        Py_BEGIN_ALLOW_THREADS
        many(messages, lengths, (size_t)number, prefix_size == 1, prefix_size == 1 ? prefix[0] : 0, out);
        Py_END_ALLOW_THREADS
    }
done:
    free(messages);
    free(lengths);
    Py_DECREF(items);
    return result;
}

static PyObject *module_merkle_nodes(PyObject *module, PyObject *object)
{
    (void)module;
    return hash_level(object, sm3_merkle_nodes);
}

static PyObject *module_merkle_levels(PyObject *module, PyObject *object)
{
    (void)module;
    return hash_levels(object, sm3_merkle_nodes);
}

static PyObject *module_hash_many(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return hash_messages(args, count, sm3_many);
}

static PyObject *module_sha256_merkle_nodes(PyObject *module, PyObject *object)
{
    (void)module;
    return hash_level(object, sha256_merkle_nodes);
}

static PyObject *module_sha256_merkle_levels(PyObject *module, PyObject *object)
{
    (void)module;
    return hash_levels(object, sha256_merkle_nodes);
}

static PyObject *module_sha256_hash_many(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    (void)module;
    return hash_messages(args, count, sha256_many);
}

static PyObject *module_cpu(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    char text[128];
    kernel_cpu_describe(text, sizeof text);
    return PyUnicode_FromString(text);
}

static PyMethodDef module_methods[] = {
    {"generate", module_generate, METH_NOARGS, "generate() -> (private, public)"},
    {"verify", (PyCFunction)(void (*)(void))module_verify, METH_FASTCALL,
     "verify(public, message, signature, user_id) -> bool"},
    {"multiply_base", module_multiply_base, METH_O, "multiply_base(scalar) -> [k]G"},
    {"multiply", (PyCFunction)(void (*)(void))module_multiply, METH_FASTCALL, "multiply(scalar, point) -> [k]P"},
    {"multiply_two", (PyCFunction)(void (*)(void))module_multiply_two, METH_FASTCALL,
     "multiply_two(a, b, point) -> [a]G + [b]P"},
    {"sm3", module_sm3, METH_O, "sm3(data) -> 32 bytes"},
    {"hmac_sm3", (PyCFunction)(void (*)(void))module_hmac_sm3, METH_FASTCALL, "hmac_sm3(key, data) -> 32 bytes"},
    {"merkle_nodes", module_merkle_nodes, METH_O, "merkle_nodes(children) -> parents: SM3(01 || left || right)"},
    {"hash_many", (PyCFunction)(void (*)(void))module_hash_many, METH_FASTCALL,
     "hash_many(messages, prefix) -> 32 bytes of SM3 a message"},
    {"merkle_levels", module_merkle_levels, METH_O, "merkle_levels(hashes) -> [hashes, parents, ... one root]"},
    {"sha256_merkle_nodes", module_sha256_merkle_nodes, METH_O, "merkle_nodes of SHA-256"},
    {"sha256_merkle_levels", module_sha256_merkle_levels, METH_O, "merkle_levels of SHA-256"},
    {"sha256_hash_many", (PyCFunction)(void (*)(void))module_sha256_hash_many, METH_FASTCALL, "hash_many of SHA-256"},
    {"cpu", module_cpu, METH_NOARGS, "cpu() -> the processor features in use"},
    {NULL, NULL, 0, NULL},
};

static int add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
    if (type == NULL)
        return -1;
    int added = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return added;
}

static int add_types(PyObject *module)
{
    return add_type(module, &public_spec) < 0 || add_type(module, &private_spec) < 0 ? -1 : 0;
}

static int module_exec(PyObject *module)
{
    /* The tables are the process's: a second interpreter finds them filled. */
    static int ready;
    if (ready)
        return add_types(module);
    switch (kernel_cpu_select(getenv("EDUTRUST_CPU"))) {
    case 0:
        break;
    case -1:
        PyErr_SetString(PyExc_ImportError, "EDUTRUST_CPU is none of auto, portable, avx2, avx512, neon");
        return -1;
    default:
        PyErr_SetString(PyExc_ImportError, "EDUTRUST_CPU names a mode this processor lacks");
        return -1;
    }
    if (sm2_initialise() != SM2_OK) {
        PyErr_NoMemory();
        return -1;
    }
    ready = 1;
    return add_types(module);
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, SLOT(module_exec)}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "crypto._kernel", "SM2, SM3 and SHA-256 in C; see crypto/kernel.", 0, module_methods, module_slots,
    NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void);
PyMODINIT_FUNC PyInit__kernel(void)
{
    return PyModuleDef_Init(&definition);
}
