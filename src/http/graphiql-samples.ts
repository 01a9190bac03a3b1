/** What GraphiQL holds when it is first opened: imports from beginning to end, and what is made of a video, ready to run. */
export const SAMPLE_OPERATIONS = /* GraphQL */ `# One import, from beginning to end. Run its
# operations with the button to the right.
#
# 1. startImport says at once which videos will
#    come in, and which will not and why.
# 2. Put the id of its answer into "id" below.
# 3. importProgress shows what happens as it
#    happens; importStatus and tasks where
#    things stand.
#
# To have HLS, pictures, scenes and the like
# made, run startFullIngestion, then stages
# with the id of its answer. Put the id of a
# video into "videoId": made shows what is
# there then.

mutation startImport($input: StartImportInput!) {
  startImport(input: $input) {
    __typename
    ... on StartImportSuccess {
      import {
        id
        state
        counts { found rejected pending skipped }
        tasks(first: 100) {
          nodes { id name status skipReason }
        }
        failedFiles(first: 100) {
          nodes { name error { code message } }
        }
      }
    }
    ... on InvalidInputError {
      issues { path code message }
    }
    ... on Error { message }
  }
}

query importStatus($id: ID!) {
  importStatus(id: $id) {
    state
    finished
    hasFailures
    counts { found rejected pending uploading validating queued indexing ready skipped failed }
    progress { fraction bytesDone bytesTotal etaSeconds }
    tasks(first: 100) { nodes { id name status reason progress { fraction } } }
    failedFiles(first: 100) { nodes { name error { code message } } }
    error { code message }
  }
}

query tasks {
  tasks(first: 20, orderBy: { field: CREATED_AT, direction: DESC }) {
    totalCount
    nodes {
      id
      name
      status
      outcome
      reason
      video { id originalUrl }
      systemMetadata { duration width height size videoCodec }
    }
    pageInfo { hasNextPage endCursor }
  }
}

subscription importProgress($id: ID!) {
  importProgress(id: $id) {
    cursor
    snapshot
    import {
      state
      counts { found rejected pending uploading validating queued indexing ready skipped failed }
      progress { fraction bytesPerSecond etaSeconds }
    }
    changed { id name status progress { fraction bytesPerSecond } error { code message } }
    rejected { id name error { code message } }
  }
}

mutation startFullIngestion($fullInput: StartImportInput!) {
  startImport(input: $fullInput) {
    __typename
    ... on StartImportSuccess {
      import {
        id
        tasks(first: 100) {
          nodes { videoId name stages { name state } }
        }
      }
    }
    ... on InvalidInputError {
      issues { path code message }
    }
    ... on Error { message }
  }
}

subscription stages($id: ID!) {
  importProgress(id: $id) {
    import { state progress { fraction } }
    changed {
      id
      name
      videoId
      status
      hls { status }
      stages { name state fraction startedAt finishedAt error { code message } }
    }
  }
}

query made($videoId: ID!) {
  video(id: $videoId) {
    name
    hls { status videoUrl thumbnailUrls updatedAt }
    posterUrl
    storyboardUrl
    scenes { start end thumbnailUrl }
    quality { overall metrics { name score label } }
    scanType
    similar(limit: 5) { similarity video { id name posterUrl } }
    urlsExpireAt
  }
}
`;

/** The variables of the sample operations; each takes the ones that it names. */
export const SAMPLE_VARIABLES = {
  input: {
    from: {
      videos: {
        systemName: 'my-library',
        videos: [
          {
            externalId: 'sintel-trailer',
            url: 'https://media.w3.org/2010/05/sintel/trailer.mp4',
            fileName: 'trailer.mp4',
            name: 'Sintel, the trailer',
            metadata: { genre: 'fantasy', year: 2010 },
          },
        ],
      },
    },
    incremental: true,
  },
  id: 'the id that startImport answered',
  fullInput: {
    from: {
      videos: {
        systemName: 'my-library',
        videos: [
          {
            externalId: 'bunny-trailer',
            url: 'https://media.w3.org/2010/05/bunny/trailer.mp4',
            fileName: 'bunny.mp4',
            name: 'Big Buck Bunny, the trailer',
          },
        ],
      },
    },
    fullIngestion: true,
  },
  videoId: 'the id of a video, as stages shows it',
};
